"""The gap ledger: which numbers of a device's sequence never came, in whatever order the others did.

In: telemetry_arrival, what each batch brought. Out: open and closed gaps per device and boot.
Tables: telemetry_arrival, device_sequence, telemetry_gap. Process: a job of `python -m geofence`.
Left out: boot 0 (devices without a counter: JT/T 808) and negative numbers.
"""
