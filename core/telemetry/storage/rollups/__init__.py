"""What each device did by hour and by day: reports, fixes, metres, time under way, top speed.

In: telemetry. Out: the views telemetry_hourly and telemetry_daily (UTC), by vehicle and by local day.
Tables: telemetry_rollup_mark, telemetry_rollup_note, telemetry_hourly_kept, telemetry_daily_kept
(TimescaleDB: two continuous aggregates instead). Process: a job of ingest.
"""
