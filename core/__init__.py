"""The words everybody uses: wire schema, places, clocks, errors, settings, database.

In: nothing of ours (core imports no other room).
Out: domain values, the telemetry store, migrations, jobs, domain events.
Tables: telemetry, telemetry_undated, telemetry_partition, latest_position, device_status, time_watermark,
telemetry_clock, domain_event, log_cursor, event_failure, job_run, revision, schema_migration.
Process: none; a library.
"""
