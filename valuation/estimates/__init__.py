"""Estimates as they were written: what was thought of a vehicle's value, and from what.

In: `Valued`. Out: rows that only grow, so that each figure can be explained and repeated later.
Tables: estimate. Process: none.
"""
