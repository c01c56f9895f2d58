"""The invariants of the books as questions to the database.

In: nothing. Out: how many rows violate each. Tables: none of its own; it reads those of ledger, deposits and
settlement. Process: none (`pledgewatch ledger check`).
"""
