"""The tree of branches that scopes what staff see.

Tables: org_unit. Process: none.
"""
