"""After the hammer: what the buyer owes and pays, what it cost, who gets how much, the end of the case.

In: a hammered lot, payments, costs, claims. Out: a waterfall that adds up, closed books, `disposal.closed`.
Tables: settlement, settlement_payment, disposal_cost, lender_claim, junior_claim. Process: none.
"""
