"""One file per resource of /api/v1; each has a `router`, and its rules are in api/roles.py.

In: requests that passed role, branch, purpose and forgery checks. Out: the models of the contract.
Tables: none; the rooms below own them. Process: `python -m api`.
"""
