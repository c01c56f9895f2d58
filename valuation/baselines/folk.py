"""The trade's rules of thumb in China; both need the new price.

`54321`: a vehicle's life is 300,000 km in five stages of 60,000 km, which take 5, 4, 3, 2 and 1 fifteenths of
the new price (重置成本 "54321法"). The other: 15, 12, 10, 8 and 7 % off in the first five years, then 5 % a
year, straight on the new price (valuation.md 3 and its source S22).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from valuation.baselines.peer import Baseline

if TYPE_CHECKING:
    import pyarrow as pa

    from valuation.model.rows import Floats
    from valuation.model.valuer import Model

STAGE_KM = 60_000.0
STAGE_FIFTEENTHS = (5, 4, 3, 2, 1)
YEAR_LOSSES = (0.15, 0.12, 0.10, 0.08, 0.07)
LATER_LOSS = 0.05
LEAST_LEFT = 0.05
"""Scrap: no rule of thumb goes below."""


def left_after_km(odometer_km: Floats) -> Floats:
    """Return the share of the new price that is left; NaN without an odometer."""
    stages = odometer_km / STAGE_KM
    lost = sum(part / 15.0 * np.clip(stages - place, 0.0, 1.0) for place, part in enumerate(STAGE_FIFTEENTHS))
    left: Floats = np.maximum(1.0 - np.asarray(lost), LEAST_LEFT)
    return np.where(np.isnan(odometer_km), np.nan, left)


def left_after_years(age_y: Floats) -> Floats:
    """Return the share of the new price that is left at an age in years, pro rata within a year."""
    lost = sum(loss * np.clip(age_y - year, 0.0, 1.0) for year, loss in enumerate(YEAR_LOSSES))
    lost = lost + LATER_LOSS * np.maximum(age_y - len(YEAR_LOSSES), 0.0)
    left: Floats = np.maximum(1.0 - np.asarray(lost), LEAST_LEFT)
    return left


def _five_steps(model: Model, known: pa.Table, asked: pa.Table, days: Any) -> Floats:
    rows, _ = model.vocabulary.rows(asked, days)
    value: Floats = np.exp(rows.numbers["log_new"]) * left_after_km(rows.numbers["odometer_km"])
    return value


def _yearly_rates(model: Model, known: pa.Table, asked: pa.Table, days: Any) -> Floats:
    rows, _ = model.vocabulary.rows(asked, days)
    value: Floats = np.exp(rows.numbers["log_new"]) * left_after_years(rows.age_y)
    return value


FIVE_STEPS = Baseline("folk_54321", _five_steps)
YEARLY_RATES = Baseline("folk_15_12_10_8_7_5", _yearly_rates)
