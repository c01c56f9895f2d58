"""What a pledged vehicle is worth, and what is owed over it.

In: market observations (market/, connectors/), the vehicle's own facts (vehicles/, inspections/,
appraisals/), loans. Out: models (model/), estimates with an interval and an explanation, LTV marks and
findings (ltv/).
Tables: migrations 06xx. Process: `python -m valuation` marks every night and reads market sources.
"""
