"""Where the straight line between two fixes meets a border."""

from __future__ import annotations

import math

import numpy as np

from core.geo.distance import METRES_PER_DEGREE, metres_per_degree_lon
from geofence.index import FenceIndex
from geofence.state import Fix

_BISECTIONS = 24


def meetings(index: FenceIndex, number: int, a: Fix, b: Fix) -> tuple[float, float] | None:
    """Return the first and last share of the way from a to b at which it meets a border, if it does."""
    fence = index.fences[number]
    if fence.kind == "circle":
        return _circle(fence.geometry.x, fence.geometry.y, fence.radius_m, a, b)
    edges = index.edges.of(number)
    if fence.kind == "corridor" or not len(edges):
        return None
    px, py = edges[:, 0] - a.lon, edges[:, 1] - a.lat
    ex, ey = edges[:, 2] - edges[:, 0], edges[:, 3] - edges[:, 1]
    dx, dy = b.lon - a.lon, b.lat - a.lat
    cross = dx * ey - dy * ex
    with np.errstate(divide="ignore", invalid="ignore"):
        across = (px * dy - py * dx) / cross  # infinite or undefined, so never between, for parallels
    (met,) = ((across >= 0.0) & (across <= 1.0)).nonzero()
    if not len(met):  # the whole border on one side of the way's line
        return None
    px, py, ex, ey = px[met], py[met], ex[met], ey[met]
    along = (px * ey - py * ex) / cross[met]
    found = along[(along >= 0.0) & (along <= 1.0)]
    return (float(found.min()), float(found.max())) if len(found) else None


def crossing_share(index: FenceIndex, number: int, a: Fix, b: Fix) -> float:
    """Return the share of the way from a to b after which the vehicle stays on b's side."""
    if index.fences[number].kind == "corridor":
        return _bisect(index, number, a, b)
    found = meetings(index, number, a, b)
    return 1.0 if found is None else found[1]


def _circle(lon: float, lat: float, radius_m: float, a: Fix, b: Fix) -> tuple[float, float] | None:
    east = metres_per_degree_lon((a.lat + b.lat) / 2.0)
    ax, ay = (a.lon - lon) * east, (a.lat - lat) * METRES_PER_DEGREE
    dx, dy = (b.lon - a.lon) * east, (b.lat - a.lat) * METRES_PER_DEGREE
    length = dx * dx + dy * dy
    if length == 0.0:
        return None
    middle = -(ax * dx + ay * dy) / length
    inside = middle * middle - (ax * ax + ay * ay - radius_m * radius_m) / length
    if inside < 0.0:
        return None
    root = math.sqrt(inside)
    shares = [share for share in (middle - root, middle + root) if 0.0 <= share <= 1.0]
    return (shares[0], shares[-1]) if shares else None


def _bisect(index: FenceIndex, number: int, a: Fix, b: Fix) -> float:
    def inside(share: float) -> bool:
        return index.contains(number, a.lon + share * (b.lon - a.lon), a.lat + share * (b.lat - a.lat))

    low, high, target = 0.0, 1.0, inside(1.0)
    if inside(0.0) == target:
        return 1.0
    for _ in range(_BISECTIONS):
        middle = (low + high) / 2.0
        low, high = (low, middle) if inside(middle) == target else (middle, high)
    return high
