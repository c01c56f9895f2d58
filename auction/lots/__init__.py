"""The life of a lot outside bidding: drafted, reviewed, published, suspended, withdrawn.

In: staff commands and domain facts (appraisal, basis, loan). Out: lot rows and their public events.
Owns lot; the state table is auction/transitions.py. Called by the API, the approvals and the sweeper.
"""
