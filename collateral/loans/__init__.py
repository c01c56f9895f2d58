"""Loans as the lender's books say: snapshots, and payments made after them.

Tables: loan, loan_payment. Process: none.
"""
