"""The single row that anchors the telemetry clock.

In: the setting. Out: the anchor, the greatest event time. Tables: telemetry_clock. Process: none.
"""
