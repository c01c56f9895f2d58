"""Who looked at whose location, when, from where and what for (sensitive personal data).

In: every read of positions, tracks and stays. Out: the log that a pledgor can ask for.
Tables: view_log. Process: `python -m api`.
"""
