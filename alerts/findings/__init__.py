"""The append-only log of findings: a correction is a new revision, a retraction too.

In: findings of the rules (geofence) and of valuation. Out: what holds now, and the log alerts read.
Tables: finding. Process: none; a library called inside the writer's transaction.
"""
