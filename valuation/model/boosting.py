"""Gradient boosting of a median or a quantile, with directions that hold.

scikit-learn's own histogram binning and tree grower do the work (the parts under its
HistGradientBoostingRegressor, pinned by requirements.lock); the loop over trees is ours, because theirs
forgets the constraints when it sets leaves to medians (see monotone.py).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.ensemble._hist_gradient_boosting.binning import _BinMapper
from sklearn.ensemble._hist_gradient_boosting.grower import TreeGrower

from valuation.model.monotone import keep_directions

if TYPE_CHECKING:
    from collections.abc import Sequence

    from valuation.model.plans import BoostPlan
    from valuation.model.rows import Floats

BINS = 255
LEAST_KNOWN = 50
_MISSING = 1
THREADS = 1
"""Of one forest. OpenMP's waiting threads spin; on a machine that is shared they cost minutes, not seconds.
Forests are trained side by side instead, and one thread adds in one order: the same model on any machine."""


@dataclass(frozen=True, slots=True)
class Binned:
    """Features in at most BINS steps per column, shared by the forests that learn from them."""

    steps: Any
    mapper: Any
    has_missing: Any

    @staticmethod
    def of(features: Floats, seed: int) -> Binned:
        """Bin the columns. Not to be called from several threads at once: the library juggles the process's
        warning filters meanwhile.
        """
        # A column that (nearly) nobody filled teaches nothing, and stops the binning.
        nothing = (~np.isnan(features)).sum(axis=0) < min(LEAST_KNOWN, len(features))
        features[:, nothing] = 0.0
        mapper = _BinMapper(n_bins=BINS + _MISSING, random_state=seed, n_threads=THREADS)
        steps = mapper.fit_transform(features)
        return Binned(steps, mapper, np.isnan(features).any(axis=0).astype(np.uint8))


def boost(
    binned: Binned,
    target: Floats,
    *,
    quantile: float,
    directions: Sequence[int],
    plan: BoostPlan,
    seed: int,
) -> tuple[float, list[Any]]:
    """Return the start and the node arrays of each tree; their sum is the quantile of ``target``."""
    mapper = binned.mapper
    start = _quantile(target, quantile)
    reached = np.full(len(target), start)
    hessians = np.ones(1, np.float32)
    rng = np.random.default_rng(seed)
    trees = []
    for _ in range(plan.trees):
        # Pinball loss: each row pulls with weight q from above and 1 - q from below.
        gradients = np.where(target > reached, -quantile, 1.0 - quantile).astype(np.float32)
        grower = TreeGrower(
            X_binned=binned.steps,
            gradients=gradients,
            hessians=hessians,
            max_leaf_nodes=plan.leaves,
            min_samples_leaf=plan.least_rows,
            n_bins=BINS + _MISSING,
            n_bins_non_missing=mapper.n_bins_non_missing_,
            has_missing_values=binned.has_missing,
            is_categorical=mapper.is_categorical_,
            monotonic_cst=np.asarray(directions, np.int8),
            l2_regularization=plan.l2,
            feature_fraction_per_split=plan.share_of_features,
            rng=rng,
            shrinkage=plan.rate,
            n_threads=THREADS,
        )
        grower.grow()
        for leaf in grower.finalized_leaves:
            inside = leaf.sample_indices
            leaf.value = plan.rate * _quantile(target[inside] - reached[inside], quantile)
        keep_directions(grower.root, directions)
        for leaf in grower.finalized_leaves:
            reached[leaf.sample_indices] += leaf.value
        trees.append(grower.make_predictor(binning_thresholds=mapper.bin_thresholds_).nodes)
    return start, trees


def _quantile(values: Floats, share: float) -> float:
    """Return an order statistic; np.quantile does the same with three times the work."""
    rank = min(len(values) - 1, max(0, round(share * (len(values) - 1))))
    return float(np.partition(values, rank)[rank])
