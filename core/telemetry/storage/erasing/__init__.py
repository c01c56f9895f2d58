"""Erasing a device's or a vehicle's reports of a period, on request or when the contract has ended.

In: whose, from when to when, why, who asked. Out: counts, and a row that says so.
Table: telemetry_erasure. Process: the command `pledgewatch telemetry erase`.
"""
