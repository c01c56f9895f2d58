"""The words everybody uses: wire schema, places, clocks, errors, settings, database.

In: nothing of ours (core imports no other room).
Out: domain values, the telemetry store, migrations, jobs, domain events.
Tables: telemetry, telemetry_undated, latest_position, device_status, time_watermark,
domain_event, job_run, telemetry_clock, schema_migration.
Process: none; a library.
"""
