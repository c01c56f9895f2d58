"""Holds: reports that a dispute, a court or an open recovery needs outlive retention and erasure.

In: who placed one, why, for which vehicle and time. Out: what may not go. Table: telemetry_hold.
Process: the command `pledgewatch telemetry hold`.
"""
