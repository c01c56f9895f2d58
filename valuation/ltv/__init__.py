"""What is owed over what it is worth, and when that becomes a risk.

In: an estimate, live loans, the marks before. Out: a mark per loan and day, LTV_BREACH findings.
Tables: ltv_mark. Process: none; valuation/service marks every night.
"""
