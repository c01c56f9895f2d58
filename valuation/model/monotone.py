"""Make a grown tree keep its promised directions.

scikit-learn grows trees under monotonic constraints, but for the absolute and the quantile loss its
boosting then replaces every leaf's value by the median (quantile) of the residuals in it and looks at no
constraint any more: probes found values that rose with mileage. Here leaves are clipped, from the root down:
below a split on a constrained column no leaf of one side may pass a leaf of the other; where they do, both
sides stop at the middle between them. Done before the next tree is grown, so that later trees make up for it.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence


def keep_directions(root: Any, directions: Sequence[int]) -> None:
    """Clip the leaves of a grower's tree; ``directions`` say per column -1, 0 or 1."""
    _clip(root, -math.inf, math.inf, directions, _spans(root, {}))


def _spans(node: Any, into: dict[int, tuple[float, float, float]]) -> dict[int, tuple[float, float, float]]:
    """Collect the least, the greatest and the mean leaf below each node, by the node's identity."""
    if node.is_leaf:
        into[id(node)] = (node.value, node.value, node.value)
        return into
    one, two = node.left_child, node.right_child
    _spans(one, into)
    _spans(two, into)
    (least, most, mean), (low, high, middle) = into[id(one)], into[id(two)]
    share = one.n_samples / (one.n_samples + two.n_samples)
    into[id(node)] = (min(least, low), max(most, high), share * mean + (1.0 - share) * middle)
    return into


def _clip(
    node: Any,
    floor: float,
    ceiling: float,
    directions: Sequence[int],
    spans: dict[int, tuple[float, float, float]],
) -> None:
    if node.is_leaf:
        node.value = min(max(node.value, floor), ceiling)
        return
    one, two = node.left_child, node.right_child
    direction = directions[node.split_info.feature_idx]
    bounds = {id(one): (floor, ceiling), id(two): (floor, ceiling)}
    if direction:
        below, above = (one, two) if direction > 0 else (two, one)
        _, most, mean = spans[id(below)]
        least, _, other_mean = spans[id(above)]
        # Sides that do not overlap are left as they are: any wall within the gap clips nothing.
        wall = (mean + other_mean) / 2.0 if most > least else min(max((mean + other_mean) / 2.0, most), least)
        wall = min(max(wall, floor), ceiling)
        bounds = {id(below): (floor, wall), id(above): (wall, ceiling)}
    _clip(one, *bounds[id(one)], directions, spans)
    _clip(two, *bounds[id(two)], directions, spans)
