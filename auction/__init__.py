"""How a recovered vehicle is sold, fairly and with books that balance.

In: disposal cases, lots, bids and deposits. Out: a winner, a settlement, and an event log anybody can verify.
Owns no table and runs no process yet: only the name of the room is fixed.
"""
