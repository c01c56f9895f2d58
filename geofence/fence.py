"""A fence: an immutable version of a shape with a meaning, WGS-84 inside.

A point on the border is inside. ``datum`` remembers what the source was drawn in; ``geometry`` is
always WGS-84 and within [-180, 180]. Reading GeoJSON is in geofence/fences.py.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import shapely
from shapely.geometry.base import BaseGeometry

from core.errors import Rejected

Kind = Literal["polygon", "circle", "corridor"]

RISK_CATEGORIES = frozenset({"second_pledge", "pawn", "used_car_market", "scrap", "chop_shop"})
CATEGORIES = RISK_CATEGORIES | {
    "allowed_region",
    "yard",
    "impound",
    "repair",
    "home",
    "work",
    "border_port",
    "benign",
    "region",
    "other",
}

FOREVER_MS = 2**62
DEFAULT_HYSTERESIS_M = 30.0
MAX_RADIUS_M = 2_000_000.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Fence:
    """One version of a fence; in force while ``valid_from_ms <= t < valid_to_ms``.

    Polygons may have holes and parts. A circle is a point and ``radius_m``; a corridor a line and
    its full ``width_m``. ``scope`` is "vehicle" for fences that only count for vehicles whose facts
    name them. ``dwell_s`` 0 means the threshold of the rule.
    """

    id: str
    version: int = 1
    name: str = ""
    category: str = "other"
    kind: Kind = "polygon"
    geometry: BaseGeometry
    radius_m: float = 0.0
    width_m: float = 0.0
    datum: str = "wgs84"
    valid_from_ms: int = 0
    valid_to_ms: int = FOREVER_MS
    scope: Literal["shared", "vehicle"] = "shared"
    hysteresis_m: float = DEFAULT_HYSTERESIS_M
    dwell_s: int = 0

    def in_force(self, t_ms: int) -> bool:
        """Return whether the fence counts for a report of this moment."""
        return self.valid_from_ms <= t_ms < self.valid_to_ms


def check_fence(fence: Fence) -> Fence:
    """Return the fence if its parts fit together.

    Raises:
        Rejected: unknown category, or a shape that does not fit the kind (``bad_fence``).
    """
    wanted = {
        "polygon": {"Polygon", "MultiPolygon"},
        "circle": {"Point"},
        "corridor": {"LineString", "MultiLineString"},
    }
    problem = None
    if fence.category not in CATEGORIES:
        problem = f"Expected a category of {', '.join(sorted(CATEGORIES))}, was {fence.category!r}"
    elif fence.geometry.geom_type not in wanted.get(fence.kind, set()) or fence.geometry.is_empty:
        problem = f"Expected the geometry of a {fence.kind}, was {fence.geometry.geom_type}"
    elif fence.kind == "circle" and not 0.0 < fence.radius_m <= MAX_RADIUS_M:
        problem = f"Expected a radius in metres above 0, was {fence.radius_m}"
    elif fence.kind == "corridor" and not 0.0 < fence.width_m <= MAX_RADIUS_M:
        problem = f"Expected a width in metres above 0, was {fence.width_m}"
    elif fence.valid_from_ms >= fence.valid_to_ms:
        problem = "Expected valid_from before valid_to"
    if problem:
        raise Rejected(problem, code="bad_fence", fence_id=fence.id)
    return fence


def fence_to_row(fence: Fence) -> dict[str, Any]:
    """Return the storable form: plain values, and the geometry as WKB (WGS-84)."""
    row: dict[str, Any] = {name: getattr(fence, name) for name in _COLUMNS}
    row["wkb"] = shapely.to_wkb(fence.geometry)
    return row


def fence_from_row(row: dict[str, Any]) -> Fence:
    """Return the fence of a stored row; other keys of the row are ignored."""
    values = {name: row[name] for name in _COLUMNS if row.get(name) is not None}
    return check_fence(Fence(geometry=shapely.from_wkb(bytes(row["wkb"])), **values))


_COLUMNS = (
    "id",
    "version",
    "name",
    "category",
    "kind",
    "radius_m",
    "width_m",
    "datum",
    "valid_from_ms",
    "valid_to_ms",
    "scope",
    "hysteresis_m",
    "dwell_s",
)
