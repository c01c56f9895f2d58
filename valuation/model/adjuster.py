"""Three forests on one residual: its median and its 5 % and 95 % edges, all monotone the same way."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from valuation.model.boosting import Binned
from valuation.model.plans import edge_plan, median_plan
from valuation.model.trees import Forest

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from valuation.model.plans import BoostPlan
    from valuation.model.rows import Floats

LOW_SHARE, MIDDLE_SHARE, HIGH_SHARE = 0.05, 0.5, 0.95
SIDE_BY_SIDE = 2
"""Forests trained at once; scikit-learn's inner loops let go of the interpreter lock."""


@dataclass(frozen=True, slots=True)
class Spread:
    """Log offsets from the base per row; low <= middle <= high."""

    middle: Floats
    low: Floats
    high: Floats


@dataclass(frozen=True, slots=True)
class Adjuster:
    """What the residual from a base is, by features."""

    middle: Forest
    low: Forest
    high: Forest

    @staticmethod
    def train(features: Floats, target: Floats, directions: Sequence[int], seed: int) -> Adjuster:
        """Boost the three; the edges take fewer and coarser trees, for tails hold fewer rows."""
        rows = len(target)
        binned = Binned.of(features, seed)
        edge = edge_plan(rows)
        asked = ((MIDDLE_SHARE, median_plan(rows)), (LOW_SHARE, edge), (HIGH_SHARE, edge))

        def boost(which: tuple[float, BoostPlan]) -> Forest:
            share, plan = which
            return Forest.train(binned, target, quantile=share, directions=directions, plan=plan, seed=seed)

        with ThreadPoolExecutor(SIDE_BY_SIDE) as workers:
            return Adjuster(*workers.map(boost, asked))

    def predict(self, features: Floats) -> Spread:
        """Return the offsets. Minimum and maximum keep each edge monotone, as all three are."""
        middle = self.middle.predict(features)
        low = np.minimum(self.low.predict(features), middle)
        return Spread(middle, low, np.maximum(self.high.predict(features), middle))

    def arrays(self) -> dict[str, Any]:
        """Return plain arrays that hold all of it."""
        return {
            f"{name}.{key}": value
            for name in ("middle", "low", "high")
            for key, value in getattr(self, name).arrays().items()
        }

    @staticmethod
    def of(arrays: Mapping[str, Any]) -> Adjuster:
        """Return the adjuster that ``arrays`` came from."""
        return Adjuster(*(Forest.of(under(arrays, name)) for name in ("middle", "low", "high")))


def under(arrays: Mapping[str, Any], prefix: str) -> dict[str, Any]:
    """Return the entries below a prefix, without it."""
    start = prefix + "."
    return {key.removeprefix(start): value for key, value in arrays.items() if key.startswith(start)}
