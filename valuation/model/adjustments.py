"""ADJUSTMENTS: the steps from the market to one vehicle, in the order in which they are explained.

Each step adds facts to those before it, and its effect is what the model's estimate moves by. The steps
telescope: logs lie on a grid of 2**-40, so that their sum is the estimate's log bit for bit, and amounts are
differences of whole minor units, so that their sum is the estimate.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from valuation.model.rows import TEXT_COLUMNS, TRIM_NUMBERS, VARIANT, Rows, typical_km

if TYPE_CHECKING:
    from collections.abc import Sequence

    from valuation.model.valuer import Reference

GRID = 2.0**40
IDENTITY = ("make", "model")
ATTRIBUTES = (
    *(name for name in TEXT_COLUMNS if name not in IDENTITY),
    VARIANT,
    *TRIM_NUMBERS,
    "engine_l",
    "power_hp",
    "economy_mpg",
    "road_tax_minor",
    "cylinders",
    "defects",
    "log_new",
)


@dataclass(frozen=True, slots=True)
class Adjustment:
    """A step; ``facts`` are what it takes into account beyond the steps before."""

    name: str
    facts: tuple[str, ...]


ADJUSTMENTS: tuple[Adjustment, ...] = (
    Adjustment("level", ("make", "model", "model_year")),
    Adjustment("age", ("age_y",)),
    Adjustment("mileage", ("odometer_km",)),
    Adjustment("condition", ("condition",)),
    Adjustment("attributes", ATTRIBUTES),
    Adjustment("guide", ("guide_price",)),
)


@dataclass(frozen=True, slots=True)
class Step:
    """What one adjustment did: in log price, and in minor units of the model's currency."""

    name: str
    log_effect: float
    amount_minor: int
    """Of `level` the whole level; of the others what they add to or take from it."""


@dataclass(frozen=True, slots=True)
class Waterfall:
    """The steps; effects sum exactly to ``log_estimate``, amounts to ``estimate_minor``."""

    steps: tuple[Step, ...]
    log_estimate: float
    estimate_minor: int


def partial_vehicles(row: Rows, reference: Reference) -> Rows:
    """Return the five vehicles between a typical one of this make, model and year and ``row`` itself."""
    driven = not bool(np.isnan(row.numbers["odometer_km"][0]))
    graded = not bool(np.isnan(row.numbers["condition"][0]))
    actual_age = row.age_y
    typical_age = np.array([reference.age_y])
    bare = row.without(*ATTRIBUTES)

    def vehicle(block: Rows, age: np.ndarray, *, used: bool, inspected: bool) -> Rows:
        odometer = row.numbers["odometer_km"] if used else typical_km(age)
        condition = row.numbers["condition"] if inspected else np.array([reference.condition])
        numbers = {
            **block.numbers,
            "odometer_km": odometer if driven else np.array([np.nan]),
            "condition": condition if graded else np.array([np.nan]),
        }
        return replace(block, numbers=numbers, age_y=age)

    return Rows.concat(
        [
            vehicle(bare, typical_age, used=False, inspected=False),
            vehicle(bare, actual_age, used=False, inspected=False),
            vehicle(bare, actual_age, used=True, inspected=False),
            vehicle(bare, actual_age, used=True, inspected=True),
            row,
        ]
    )


def waterfall(logs: Sequence[float]) -> Waterfall:
    """Return the steps of cumulative log prices, one per adjustment."""
    amounts = [round(float(np.exp(log))) for log in logs]
    steps = []
    for place, adjustment in enumerate(ADJUSTMENTS[: len(logs)]):
        before = logs[place - 1] if place else 0.0
        below = amounts[place - 1] if place else 0
        steps.append(Step(adjustment.name, logs[place] - before, amounts[place] - below))
    return Waterfall(tuple(steps), logs[-1], amounts[-1])
