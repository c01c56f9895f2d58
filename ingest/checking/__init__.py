"""Is everything that was acknowledged stored, and nothing stored that was never sent?

In: a publish log (one row per report sent). Out: counts by what became of each, lost and ghost.
Tables: none of its own; reads what ingest writes. Process: none; `pledgewatch ingest check` calls it.
"""
