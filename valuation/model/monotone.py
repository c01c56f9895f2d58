"""Make trees keep their promised directions.

scikit-learn grows trees under monotonic constraints, but for the absolute and the quantile loss it then
replaces every leaf's value by the median (quantile) of the residuals in it and looks at no constraint any
more (`_update_leaves_values`). Here leaves are clipped, from the root down: below a split on a constrained
column no leaf of one side may pass a leaf of the other; where they do, both sides stop at the middle between
them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from valuation.model.rows import Floats, Ints


def monotone_values(nodes: Any, offsets: Ints, directions: Sequence[int]) -> Floats:
    """Return the value of each node; ``nodes`` of all trees, one after the other from ``offsets``."""
    value = nodes["value"].astype(np.float64)
    inner = nodes["is_leaf"] == 0
    root = np.repeat(offsets[:-1], np.diff(offsets))
    left, right = root + nodes["left"], root + nodes["right"]
    count = nodes["count"].astype(np.float64)
    least, most, mean = value.copy(), value.copy(), value.copy()
    depths = np.arange(int(nodes["depth"].max(initial=0)) + 1)
    levels = [np.flatnonzero(inner & (nodes["depth"] == depth)) for depth in depths]
    for at in reversed(levels):
        one, two = left[at], right[at]
        least[at] = np.minimum(least[one], least[two])
        most[at] = np.maximum(most[one], most[two])
        mean[at] = (count[one] * mean[one] + count[two] * mean[two]) / (count[one] + count[two])
    floor, ceiling = np.full(len(value), -np.inf), np.full(len(value), np.inf)
    signs = np.asarray(directions)
    for at in levels:
        one, two = left[at], right[at]
        for side in (one, two):
            floor[side], ceiling[side] = floor[at], ceiling[at]
        sign = signs[nodes["feature_idx"][at]]
        for direction, low, high in ((1, one, two), (-1, two, one)):
            held = sign == direction
            below, above, here = low[held], high[held], at[held]
            middle = (mean[below] + mean[above]) / 2.0
            # Where the sides do not overlap, a middle within the gap clips nothing.
            gap = np.clip(middle, most[below], np.maximum(least[above], most[below]))
            middle = np.where(most[below] <= least[above], gap, middle)
            middle = np.clip(middle, floor[here], ceiling[here])
            ceiling[below] = middle
            floor[above] = middle
    clipped: Floats = np.where(inner, value, np.clip(value, floor, ceiling))
    return clipped
