"""Keeping reports for long: columnstore, rollups, retention, holds, erasure; the same on both stores.

In: telemetry, the periods of the policy pack. Out: hourly and daily rollups, fewer bytes, fewer rows.
Tables: telemetry_hold, telemetry_held, telemetry_erasure, telemetry_columnstore; on plain PostgreSQL
telemetry_rollup_mark, telemetry_rollup_note, telemetry_hourly_kept, telemetry_daily_kept.
Process: jobs of ingest; the command `pledgewatch telemetry`.
"""
