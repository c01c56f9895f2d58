"""How a recovered vehicle is sold, fairly and with books that balance.

In: disposal cases, lots, bids and deposits. Out: a winner, a settlement, an event log anybody can verify.
Tables: those of migrations 0700 and 0710. Process: `python -m auction` opens and closes lots on time; bids
and commands of staff come through the API. The database's clock is the only clock.
Start reading at auction/transitions.py, then auction/engine.
"""
