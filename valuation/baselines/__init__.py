"""Simple ways to value a vehicle, kept beside the model so that a back-test shows what the model is worth.

In: the prices known, the vehicles asked about. Out: a value per vehicle in minor units, NaN where the way has
no answer. No tables; run by `pledgewatch valuation backtest`.
"""

from __future__ import annotations

from valuation.baselines.folk import FIVE_STEPS, YEARLY_RATES
from valuation.baselines.guide import GUIDE
from valuation.baselines.median import CELL_MEDIAN, COMPARABLES
from valuation.baselines.parametric import PARAMETRIC
from valuation.baselines.peer import Baseline

BASELINES: tuple[Baseline, ...] = (
    FIVE_STEPS,
    YEARLY_RATES,
    CELL_MEDIAN,
    COMPARABLES,
    PARAMETRIC,
    GUIDE,
)
