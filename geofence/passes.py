"""Fences that a vehicle may have crossed between two fixes outside (geofence.md 4.6).

A chord that meets the fence is a probable pass and may warn alone; a fence that only could have
been reached in the time is a possible one, kept as evidence.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np

from core.geo.distance import METRES_PER_DEGREE, Floats
from geofence.chords import meetings
from geofence.fence import Fence
from geofence.index import FenceIndex
from geofence.state import Fix, Member
from geofence.thresholds import Crossing

STANDING_M = 50.0


class Passed(NamedTuple):
    """A fence crossed, or perhaps crossed, between two fixes."""

    fence: Fence
    event: str  # pass_probable | pass_possible
    event_ms: int
    evidence: dict[str, Any]


def reach_m(a: Fix, b: Fix, step_m: float, limits: Crossing) -> float | None:
    """Return how far a vehicle could have driven between two fixes, or None when no chord is drawn."""
    seconds = (b.t_ms - a.t_ms) / 1000.0
    if seconds <= 0.0 or seconds > limits.pass_max_gap_s or step_m >= limits.pass_max_speed_mps * seconds:
        return None
    if step_m < STANDING_M:  # a parked vehicle could reach every fence around it: that says nothing
        return None
    return max(limits.reach_speed_factor * step_m, limits.reach_min_mps * seconds)


def reach_boxes(chords: Floats) -> tuple[Floats, Floats, Floats, Floats]:
    """Return boxes (west, south, east, north) in degrees around all places reachable between two fixes.

    ``chords`` has rows ``lon_a, lat_a, lon_b, lat_b, step_m, reach_m``.
    """
    lon_a, lat_a, lon_b, lat_b, step_m, reach = chords.T
    spare_m = np.sqrt(np.maximum(0.0, reach * reach - step_m * step_m)) / 2.0  # half the ellipse's width
    up = spare_m / METRES_PER_DEGREE
    widest = np.cos(np.radians(np.maximum(np.abs(lat_a), np.abs(lat_b))))
    side = up / np.maximum(0.01, widest)
    return (
        np.minimum(lon_a, lon_b) - side,
        np.minimum(lat_a, lat_b) - up,
        np.maximum(lon_a, lon_b) + side,
        np.maximum(lat_a, lat_b) + up,
    )


def passes(
    candidates: Iterable[int],
    a: Fix,
    b: Fix,
    reach: float,
    members: dict[str, Member],
    index: FenceIndex,
    limits: Crossing,
) -> list[Passed]:
    """Return the passes between two fixes. ``members`` are fences that hold one of the two."""
    found: list[Passed] = []
    span_ms = b.t_ms - a.t_ms
    west, east = min(a.lon, b.lon), max(a.lon, b.lon)
    south, north = min(a.lat, b.lat), max(a.lat, b.lat)
    for number in candidates:
        fence = index.fences[number]
        if fence.id in members or not (fence.in_force(a.t_ms) and fence.in_force(b.t_ms)):
            continue
        box = index.bounds[number]
        apart = fence.kind == "polygon" and (
            box[0] > east or box[2] < west or box[1] > north or box[3] < south
        )
        met = None if apart else meetings(index, number, a, b)
        if met is not None:
            middle_ms = a.t_ms + round((met[0] + met[1]) / 2.0 * span_ms)
            evidence = {"inside_s": round((met[1] - met[0]) * span_ms / 1000.0, 1)}
            found.append(Passed(fence, "pass_probable", middle_ms, evidence))
            continue
        if index.inradius_m[number] > limits.possible_max_inradius_m:
            continue
        a_m, b_m = index.outside_m(number, a.lon, a.lat, b.lon, b.lat, reach)
        if a_m + b_m <= reach:
            share = a_m / (a_m + b_m) if a_m + b_m > 0.0 else 0.5
            evidence = {"slack_m": round(reach - a_m - b_m, 1)}
            found.append(Passed(fence, "pass_possible", a.t_ms + round(share * span_ms), evidence))
    return found
