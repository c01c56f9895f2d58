"""What a vehicle is worth on one market (currency, channel): interval, explanation, comparables.

In: observations (valuation.frame). Out: Model, which values, explains, compares; `fit` makes one. The market
level is a nested shrunken mean; monotone boosted trees adjust it for the vehicle; conformal constants widen
the edges to 90 %. Table owned: valuation_model (arrays, no pickle).
Process: `pledgewatch valuation fit`; the nightly `python -m valuation` reads.
"""

from valuation.model.adjustments import ADJUSTMENTS
from valuation.model.fit import fit
from valuation.model.valuer import Estimates, Model

__all__ = ["ADJUSTMENTS", "Estimates", "Model", "fit"]
