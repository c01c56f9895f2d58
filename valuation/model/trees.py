"""Boosted trees as plain arrays: kept and walked without pickle.

Leaf values are rounded to multiples of 2**-32, so that the sum over trees is exact in any order: one row
walked through all trees at once and a hundred thousand rows walked tree by tree give the same bits.
"""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.ensemble._hist_gradient_boosting.common import PREDICTOR_RECORD_DTYPE
from sklearn.ensemble._hist_gradient_boosting.predictor import TreePredictor

from valuation.model.boosting import THREADS, Binned, boost

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from valuation.model.plans import BoostPlan
    from valuation.model.rows import Floats, Ints

_GRAIN = 2.0**32
_SMALL = 256
_FIELDS = ("value", "feature_idx", "num_threshold", "missing_go_to_left", "left", "right", "is_leaf")
_NO_CATEGORIES = np.zeros((0, 8), dtype=np.uint32)


class Forest:
    """A sum of trees."""

    __slots__ = (
        "_child",
        "_depth",
        "_feature",
        "_left_if_missing",
        "_nodes",
        "_offsets",
        "_start",
        "_threshold",
        "_trees",
    )

    def __init__(self, start: float, nodes: Any, offsets: Ints) -> None:
        self._start = start
        self._nodes = nodes
        self._offsets = offsets
        self._trees = [
            TreePredictor(np.ascontiguousarray(nodes[a:b]), _NO_CATEGORIES, _NO_CATEGORIES)
            for a, b in itertools.pairwise(offsets)
        ]
        # The same once more for a walk of few rows through all trees at once; a leaf leads to itself.
        root = np.repeat(offsets[:-1], np.diff(offsets))
        own = np.arange(len(nodes))
        leaf = nodes["is_leaf"] == 1
        self._feature = np.where(leaf, 0, nodes["feature_idx"]).astype(np.int64)
        self._threshold = np.ascontiguousarray(nodes["num_threshold"])
        self._left_if_missing = nodes["missing_go_to_left"] == 1
        self._child = np.empty(2 * len(nodes), np.int64)
        self._child[0::2] = np.where(leaf, own, root + nodes["right"])
        self._child[1::2] = np.where(leaf, own, root + nodes["left"])
        self._depth = _deepest(self._child, offsets[:-1])

    @staticmethod
    def train(
        binned: Binned,
        target: Floats,
        *,
        quantile: float,
        directions: Sequence[int],
        plan: BoostPlan,
        seed: int,
    ) -> Forest:
        """Boost a quantile of ``target``; ``directions`` are -1, 0 or 1."""
        start, trees = boost(binned, target, quantile=quantile, directions=directions, plan=plan, seed=seed)
        nodes = np.concatenate(trees)
        offsets = np.cumsum([0, *(len(tree) for tree in trees)]).astype(np.int64)
        nodes["value"] = np.round(nodes["value"] * _GRAIN) / _GRAIN
        start = float(np.round(start * _GRAIN) / _GRAIN)
        return Forest(start, nodes, offsets)

    def predict(self, features: Floats) -> Floats:
        """Return one number per row."""
        if len(features) <= _SMALL:
            return self._walk(features)
        features = np.ascontiguousarray(features)
        total = np.full(len(features), self._start)
        unused = np.zeros(0, dtype=np.uint32)
        for tree in self._trees:
            total += tree.predict(features, _NO_CATEGORIES, unused, THREADS)
        return total

    def _walk(self, features: Floats) -> Floats:
        here = np.repeat(self._offsets[:-1][None, :], len(features), axis=0)
        row = np.arange(len(features))[:, None]
        for _ in range(self._depth):
            seen = features[row, self._feature[here]]
            left = (seen <= self._threshold[here]) | (np.isnan(seen) & self._left_if_missing[here])
            here = self._child[2 * here + left]
        total: Floats = self._start + self._nodes["value"][here].sum(axis=1)
        return total

    def arrays(self) -> dict[str, Any]:
        """Return plain arrays that hold all of it."""
        kept = {name: np.ascontiguousarray(self._nodes[name]) for name in _FIELDS}
        return {**kept, "start": np.array([self._start]), "offsets": self._offsets}

    @staticmethod
    def of(arrays: Mapping[str, Any]) -> Forest:
        """Return the forest that ``arrays`` came from."""
        nodes = np.zeros(len(arrays["value"]), dtype=PREDICTOR_RECORD_DTYPE)
        for name in _FIELDS:
            nodes[name] = arrays[name]
        return Forest(float(arrays["start"][0]), nodes, arrays["offsets"])


def _deepest(child: Ints, roots: Ints) -> int:
    """Return how many steps lead from any root to its farthest leaf."""
    depth, here = 0, roots
    while True:
        below = np.unique(np.concatenate([child[2 * here], child[2 * here + 1]]))
        below = below[child[2 * below] != below]
        depth += 1
        if not len(below):
            return depth
        here = below
