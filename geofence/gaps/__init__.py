"""DATA_GAP: reports that never came, and that the device can no longer have kept.

In: open gaps (core/telemetry/gaps) older than the buffer of the device. Out: findings, raised and cleared.
Tables: gap_episode. Process: a job of `python -m geofence`, after the one that keeps the ledger.
"""
