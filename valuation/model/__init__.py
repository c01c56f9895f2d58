"""What a vehicle is worth on one market (currency, channel): interval, explanation, comparables.

In: observations (valuation.frame). Out: Model (valuer.py), which values, explains, compares; fit.py makes
one. The market level is a nested shrunken mean; monotone boosted trees adjust it for the vehicle; conformal
constants widen the edges to 90 %. Table owned: valuation_model (arrays, no pickle).
Process: `pledgewatch valuation fit`; the nightly `python -m valuation` reads.
"""
