"""Which store is in use, how much it holds, and what the jobs of storage last did; for doctor.

In: the database. Out: a profile. Tables: none of its own. Process: none; a library.
"""
