"""Broken shapes: repaired when nothing is lost, else refused with a reason (geofence.md 4.2)."""

from __future__ import annotations

import numpy as np
import shapely
from shapely.geometry import MultiPolygon, Polygon
from shapely.geometry.base import BaseGeometry

from core.errors import Rejected

MAX_VERTICES = 100_000
MAX_AREA_CHANGE = 0.01
HALF_TURN = 180.0


def refuse_odd_coordinates(geometry: BaseGeometry) -> None:
    """Refuse what no map can hold.

    Raises:
        Rejected: empty, not finite, beyond the poles, more than one turn around, or too many vertices.
    """
    xy = shapely.get_coordinates(geometry)
    if not len(xy):
        raise Rejected("Expected coordinates, was empty", code="fence_empty")
    if len(xy) > MAX_VERTICES:
        raise Rejected(f"Expected at most {MAX_VERTICES} vertices, was {len(xy)}", code="fence_too_fine")
    if not np.isfinite(xy).all():
        raise Rejected("Expected finite coordinates, was NaN or infinite", code="fence_not_finite")
    if np.abs(xy[:, 1]).max() > 90.0:
        raise Rejected(
            f"Expected latitudes within 90 degrees, was {np.abs(xy[:, 1]).max():g}", code="fence_out_of_range"
        )
    if np.abs(xy[:, 0]).max() > 360.0:
        raise Rejected(
            f"Expected longitudes within 360 degrees, was {np.abs(xy[:, 0]).max():g}",
            code="fence_out_of_range",
        )


def repair(geometry: BaseGeometry) -> tuple[BaseGeometry, str]:
    """Return a valid polygon within [-180, 180], and what had to be done ("" for nothing).

    Raises:
        Rejected: it goes around a pole, vanishes, or loses or gains more than 1 % of its area.
    """
    notes: list[str] = []
    unwrapped = _unwrapped(geometry)
    if unwrapped is not None:
        geometry = unwrapped
    if not geometry.is_valid:
        reason = shapely.is_valid_reason(geometry)
        geometry = _valid(geometry)
        notes.append(f"rings rebuilt ({reason.split('[')[0].strip()})")
    if unwrapped is not None:
        geometry = _split(geometry)
        notes.append("split at the 180th meridian")
    return shapely.remove_repeated_points(geometry), "; ".join(notes)


def _valid(geometry: BaseGeometry) -> BaseGeometry:
    if geometry.is_valid:
        return geometry
    drawn_area = geometry.area
    fixed = _polygons(shapely.make_valid(geometry, method="structure", keep_collapsed=False))
    if fixed.is_empty:
        raise Rejected("Expected a shape with an area, vanished on repair", code="fence_empty")
    # The area of crossing rings is ill-defined: where parts overlap or wind the other way the drawn
    # figure counts them twice or against each other, so the even-odd reading is asked as well.
    linework = _polygons(shapely.make_valid(geometry)).area
    change = min(abs(fixed.area - area) / fixed.area for area in (drawn_area, linework))
    if change > MAX_AREA_CHANGE:
        raise Rejected(
            f"Expected repair to keep the area within 1 %, changed it by {change:.1%}",
            code="fence_area_changed",
        )
    return fixed


def _polygons(geometry: BaseGeometry) -> BaseGeometry:
    if isinstance(geometry, Polygon | MultiPolygon):
        return geometry
    parts = [part for part in shapely.get_parts(geometry) if isinstance(part, Polygon) and not part.is_empty]
    return shapely.union_all(parts) if parts else Polygon()


def _unwrapped(geometry: BaseGeometry) -> BaseGeometry | None:
    """Return the shape with rings made continuous across the 180th meridian, or None if none needs it."""
    xy = shapely.get_coordinates(geometry)
    beyond = np.abs(xy[:, 0]).max() > HALF_TURN
    parts, jumped = [], False
    for part in shapely.get_parts(geometry):
        rings = []
        for ring in shapely.get_rings(part):
            lon, lat = shapely.get_coordinates(ring).T
            turns = np.round(np.diff(lon) / 360.0)
            turns[np.abs(np.diff(lon)) == 360.0] = 0.0  # an edge around the whole world, as of its frame
            if turns.any():
                jumped = True
                lon = lon - 360.0 * np.r_[0.0, np.cumsum(turns)]
                if abs(lon[-1] - lon[0]) > HALF_TURN:
                    raise Rejected(
                        "Expected a shape that does not go around a pole, was one", code="fence_polar"
                    )
            rings.append(np.column_stack([lon, lat]))
        holes = [hole - [360.0 * round((hole[0, 0] - rings[0][0, 0]) / 360.0), 0.0] for hole in rings[1:]]
        parts.append(Polygon(rings[0], holes))
    if not jumped and not beyond:
        return None
    return parts[0] if len(parts) == 1 else MultiPolygon(parts)


def _split(geometry: BaseGeometry) -> BaseGeometry:
    pieces = []
    for turn in (-2, -1, 0, 1, 2):
        window = shapely.box(360.0 * turn - HALF_TURN, -90.0, 360.0 * turn + HALF_TURN, 90.0)
        piece = shapely.intersection(geometry, window)
        if not piece.is_empty:
            pieces.append(shapely.transform(piece, lambda xy, shift=360.0 * turn: xy - [shift, 0.0]))
    return _polygons(shapely.union_all(pieces))
