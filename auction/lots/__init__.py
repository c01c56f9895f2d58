"""The life of a lot outside bidding: drafted, reviewed, published, suspended, withdrawn.

In: staff commands and domain facts (appraisal, basis, loan). Out: lot rows and their public events.
Tables: lot; its states are in auction/transitions.py. Process: none; the API, approvals and the sweeper call.
"""
