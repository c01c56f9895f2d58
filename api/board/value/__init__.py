"""Reading value for lists: the portfolio by branch, and what was seen on markets.

In: branches, filters. Out: rows of the portfolio, observations. Tables: none.
Process: none.
"""
