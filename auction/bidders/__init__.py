"""Who may bid: bidders and their verified identity, who is excluded, registration for a lot under a code.

In: an actor who wants to bid, what staff verified. Out: registrations that are eligible or not.
Tables: bidder, excluded_party, registration. Process: none.
"""
