"""How long and how fine to boost for so many rows: found on rows kept out."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class BoostPlan:
    """How long and how fine to boost."""

    trees: int
    leaves: int
    rate: float
    least_rows: int
    l2: float = 5.0
    share_of_features: float = 0.7


_MEDIAN = (
    (300, BoostPlan(trees=120, leaves=6, rate=0.08, least_rows=8, share_of_features=0.5)),
    (1_500, BoostPlan(trees=100, leaves=10, rate=0.12, least_rows=10, share_of_features=0.4)),
    (10_000, BoostPlan(trees=150, leaves=15, rate=0.1, least_rows=10, share_of_features=0.4)),
    (150_000, BoostPlan(trees=450, leaves=31, rate=0.08, least_rows=20, share_of_features=0.4)),
)
_MEDIAN_LARGE = BoostPlan(trees=250, leaves=63, rate=0.1, least_rows=40, share_of_features=0.4)
_EDGES = (
    (300, BoostPlan(trees=40, leaves=4, rate=0.1, least_rows=12, share_of_features=0.5)),
    (1_500, BoostPlan(trees=40, leaves=6, rate=0.15, least_rows=25, share_of_features=0.4)),
    (10_000, BoostPlan(trees=50, leaves=8, rate=0.12, least_rows=30, share_of_features=0.4)),
    (150_000, BoostPlan(trees=120, leaves=15, rate=0.12, least_rows=50, share_of_features=0.4)),
)
_EDGES_LARGE = BoostPlan(trees=120, leaves=31, rate=0.12, least_rows=100, share_of_features=0.4)


def median_plan(rows: int) -> BoostPlan:
    """Return the plan of the estimate."""
    return next((plan for below, plan in _MEDIAN if rows < below), _MEDIAN_LARGE)


def edge_plan(rows: int) -> BoostPlan:
    """Return the plan of the 5 % and the 95 % edge."""
    return next((plan for below, plan in _EDGES if rows < below), _EDGES_LARGE)
