"""Reports, latest positions and device status: what several rooms read.

In: validated reports (ingest writes). Out: tracks, positions, the watermark of what is stored.
Tables: telemetry, telemetry_undated, telemetry_shape, latest_position, device_status, time_watermark;
gaps/ and storage/ name their own.
Process: none; a library.
"""
