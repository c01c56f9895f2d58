"""The invariants of the books as questions to the database.

In: nothing. Out: how many rows violate each. Reads the tables of ledger, deposits, settlement. Process: none.
"""
