"""Pledgors and borrowers as lists show them, by the branches of their vehicles.

In: tables of collateral, read only. Out: rows. Tables: none. Process: `python -m api`.
"""
