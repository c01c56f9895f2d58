"""SQL of recovery, one file for each step.

In: a connection first. Out: rows as values of alerts/recovery/domain.py. Tables: those of alerts/recovery.
Process: none.
"""
