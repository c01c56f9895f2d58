"""What a pledged vehicle is worth.

In: market observations and the vehicle's own facts. Out: a value with an interval, and LTV findings.
Owns no table and runs no process yet: only the name of the room is fixed.
"""
