"""Pledgors and borrowers under pseudonyms.

Tables: party. Process: none.
"""
