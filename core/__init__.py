"""The words everybody uses: wire schema, places, clocks, errors, settings, database.

In: nothing of ours (core imports no other room).
Out: domain values, the telemetry store, migrations, jobs, domain events.
Tables: telemetry*, latest_position, device_status, device_sequence, time_watermark (core/telemetry names
them), domain_event, log_cursor, event_failure, job_run, revision, schema_migration.
Process: none; a library.
"""
