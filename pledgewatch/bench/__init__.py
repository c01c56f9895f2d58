"""Benches: the real code paths beside naive baselines, in the same call.

In: a bench's name, how long. Out: one result with figures, peers and ratios (ours is better when > 1).
Tables: those of a database made for the run and dropped after it. Process: `pledgewatch bench NAME`.
"""
