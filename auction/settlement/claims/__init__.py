"""What comes out of the price before the pledgor: costs with receipts, the lender's claim, later-ranked ones.

In: lines recorded by staff, the loan. Out: what the waterfall divides. Process: none.
Tables: disposal_cost, lender_claim, junior_claim.
"""
