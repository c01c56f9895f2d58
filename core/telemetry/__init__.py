"""Reports, latest positions and device status: what several rooms read.

In: validated reports (ingest writes). Out: tracks, positions, the watermark of what is stored.
Tables: telemetry, telemetry_undated, latest_position, device_status, time_watermark.
Process: none; a library.
"""
