"""The work of the valuation process: the nightly mark, market sources on a tick, sales against estimates.

In: telemetry time, newest models, event lot.hammered. Out: estimates, LTV marks, findings, outcomes.
Tables: disposal_outcome. Process: `python -m valuation`.
"""
