"""Storing reports: the staging table, the idempotent insert, what is known of each device now.

In: validated reports, by binary COPY. Out: which were new, which were repeats.
Tables: telemetry, telemetry_undated, latest_position, device_status, time_watermark,
telemetry_partition. Process: none; ingest calls it inside its batch transaction.
"""
