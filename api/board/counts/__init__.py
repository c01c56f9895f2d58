"""Counts and times for health and metrics.

In: tables of several rooms, read only. Out: numbers. Tables: none. Process: `python -m api`.
"""
