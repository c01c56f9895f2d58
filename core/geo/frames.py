"""Coordinate frames of Chinese maps: WGS-84 (receivers), GCJ-02 (AutoNavi, Tencent), BD-09 (Baidu).

GCJ-02 shifts mainland positions by 100-700 m; BD-09 adds about 0.006 degrees to that. The forward
formulas are the published ones (Krasovsky ellipsoid and a trigonometric series); inverses iterate
the forward formula, because no closed inverse exists. Everything is vectorised over degrees.

The shift applies on the mainland only. ``in_mainland`` is a drawn outline, good to about 20 km
along land borders: enough to tell a city from a neighbouring country, not to judge a border post.
Hong Kong, Macau and Taiwan are left out; ask the map's provider.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray
from shapely.geometry import MultiPolygon, Polygon
from shapely.geometry.base import BaseGeometry

from core.errors import Rejected

Floats = NDArray[np.float64]
DATUMS = ("wgs84", "gcj02", "bd09")

_AXIS_M = 6_378_245.0
_ECCENTRICITY_SQUARED = 0.00669342162296594323
_BD_TURN = np.pi * 3000.0 / 180.0
_BD_LON, _BD_LAT = 0.0065, 0.006
_ROUNDS = 8
"""Each round shrinks the error about 200-fold; after 4 it is below a micrometre."""

# lon, lat; clockwise from the Pamirs along the northern land border, then down the coast and back.
_OUTLINE = (
    (73.6, 39.4), (74.9, 40.4), (76.6, 40.4), (78.4, 41.4), (80.2, 42.1), (80.5, 43.1), (79.9, 44.9),
    (81.8, 45.3), (82.5, 45.2), (82.3, 45.6), (83.0, 47.2), (85.5, 47.1), (85.7, 48.4), (87.0, 49.15),
    (88.0, 49.1), (90.1, 47.8), (91.0, 46.7), (90.7, 45.5), (93.5, 44.9), (95.4, 44.2), (96.4, 42.8),
    (101.8, 42.5), (105.0, 41.6), (107.4, 42.45), (109.5, 42.45), (111.9, 43.7), (111.9, 45.0),
    (113.7, 44.8), (116.6, 46.4), (119.7, 46.7), (118.5, 47.9), (116.1, 47.8), (115.6, 47.9),
    (116.7, 49.8), (117.9, 49.6), (119.3, 50.2), (119.2, 50.4), (120.8, 52.2), (120.1, 52.7),
    (120.9, 53.3), (123.6, 53.5), (125.7, 53.0), (127.5, 50.3), (127.6, 49.8), (129.1, 49.4),
    (130.7, 48.8), (130.8, 47.8), (132.5, 47.75), (133.1, 48.1), (135.05, 48.45), (134.7, 47.6),
    (133.9, 46.3), (133.1, 45.1), (131.8, 45.3), (131.0, 44.9), (131.3, 43.4), (130.6, 42.45),
    (130.1, 42.95), (129.6, 42.4), (128.05, 42.0), (128.2, 41.4), (126.9, 41.75), (125.0, 40.55),
    (124.3, 39.95), (123.2, 39.3), (121.3, 38.4), (122.9, 37.6), (122.7, 36.7), (120.6, 35.5),
    (120.6, 34.2), (122.4, 32.0), (123.1, 30.7), (122.5, 29.2), (121.6, 27.9), (120.9, 26.8),
    (119.95, 25.6), (119.3, 24.9), (118.55, 24.3), (117.6, 23.2), (115.0, 22.5), (114.45, 22.45),
    (114.25, 22.56), (114.05, 22.505), (113.92, 22.43), (113.75, 22.25), (113.62, 22.2),
    (113.565, 22.213), (113.545, 22.21), (113.52, 22.1), (113.2, 21.7), (110.9, 20.9), (111.3, 19.9),
    (110.7, 18.5), (109.3, 17.9), (108.3, 18.6), (108.5, 19.9), (109.3, 20.8), (108.1, 21.45),
    (107.3, 21.8), (106.6, 22.2), (106.7, 22.9), (105.5, 23.2), (104.8, 22.9), (103.95, 22.5),
    (102.5, 22.6), (101.7, 22.45), (101.7, 21.2), (100.2, 21.5), (99.2, 22.1), (99.4, 23.1),
    (97.8, 23.9), (97.6, 24.8), (98.7, 26.0), (98.6, 27.6), (97.3, 28.2), (97.0, 27.75), (95.3, 27.0),
    (93.9, 26.9), (92.1, 26.85), (91.6, 27.8), (90.0, 28.25), (88.9, 27.35), (86.0, 27.95),
    (84.1, 28.9), (81.5, 30.3), (78.8, 31.4), (78.6, 32.6), (79.4, 33.2), (78.1, 35.4), (76.0, 36.0),
    (74.6, 37.2), (74.8, 38.4),
)  # fmt: skip
_MAINLAND = Polygon(_OUTLINE)
shapely.prepare(_MAINLAND)


def in_mainland(lon: Any, lat: Any) -> NDArray[np.bool_]:
    """Return which points the shift applies to."""
    inside: NDArray[np.bool_] = np.atleast_1d(
        shapely.contains_xy(_MAINLAND, np.asarray(lon, np.float64), np.asarray(lat, np.float64))
    )
    return inside


def _shift(lon: Floats, lat: Floats) -> tuple[Floats, Floats]:
    """Return the GCJ-02 offset in degrees at WGS-84 places."""
    x, y = lon - 105.0, lat - 35.0
    root = np.sqrt(np.abs(x))
    ripple = 20.0 * np.sin(6.0 * x * np.pi) + 20.0 * np.sin(2.0 * x * np.pi)
    up = -100.0 + 2.0 * x + 3.0 * y + 0.2 * y * y + 0.1 * x * y + 0.2 * root
    up += (ripple + 20.0 * np.sin(y * np.pi) + 40.0 * np.sin(y / 3.0 * np.pi)) * 2.0 / 3.0
    up += (160.0 * np.sin(y / 12.0 * np.pi) + 320.0 * np.sin(y * np.pi / 30.0)) * 2.0 / 3.0
    side = 300.0 + x + 2.0 * y + 0.1 * x * x + 0.1 * x * y + 0.1 * root
    side += (ripple + 20.0 * np.sin(x * np.pi) + 40.0 * np.sin(x / 3.0 * np.pi)) * 2.0 / 3.0
    side += (150.0 * np.sin(x / 12.0 * np.pi) + 300.0 * np.sin(x / 30.0 * np.pi)) * 2.0 / 3.0
    phi = np.radians(lat)
    w = 1.0 - _ECCENTRICITY_SQUARED * np.sin(phi) ** 2
    d_lat = np.degrees(up * w * np.sqrt(w) / (_AXIS_M * (1.0 - _ECCENTRICITY_SQUARED)))
    d_lon = np.degrees(side * np.sqrt(w) / (_AXIS_M * np.cos(phi)))
    return d_lon, d_lat


def _to_gcj(lon: Floats, lat: Floats) -> tuple[Floats, Floats]:
    d_lon, d_lat = _shift(lon, lat)
    return lon + d_lon, lat + d_lat


def _from_gcj(lon: Floats, lat: Floats) -> tuple[Floats, Floats]:
    x, y = lon, lat
    for _ in range(_ROUNDS):
        d_lon, d_lat = _shift(x, y)
        x, y = lon - d_lon, lat - d_lat
    return x, y


def _to_bd(lon: Floats, lat: Floats) -> tuple[Floats, Floats]:
    radius = np.hypot(lon, lat) + 0.00002 * np.sin(lat * _BD_TURN)
    angle = np.arctan2(lat, lon) + 0.000003 * np.cos(lon * _BD_TURN)
    return radius * np.cos(angle) + _BD_LON, radius * np.sin(angle) + _BD_LAT


def _from_bd(lon: Floats, lat: Floats) -> tuple[Floats, Floats]:
    x, y = lon - _BD_LON, lat - _BD_LAT
    for _ in range(_ROUNDS):
        again_x, again_y = _to_bd(x, y)
        x, y = x + (lon - again_x), y + (lat - again_y)
    return x, y


def _masked(lon: Any, lat: Any, convert: tuple[Any, ...], *, mask: bool) -> tuple[Floats, Floats]:
    x = np.atleast_1d(np.array(lon, dtype=np.float64))
    y = np.atleast_1d(np.array(lat, dtype=np.float64))
    chosen = in_mainland(x, y) if mask else np.ones(x.shape, dtype=bool)
    if chosen.any():
        cx, cy = x[chosen], y[chosen]
        for step in convert:
            cx, cy = step(cx, cy)
        x[chosen], y[chosen] = cx, cy
    return x, y


_STEPS: dict[tuple[str, str], tuple[Any, ...]] = {
    ("gcj02", "wgs84"): (_from_gcj,), ("wgs84", "gcj02"): (_to_gcj,),
    ("bd09", "wgs84"): (_from_bd, _from_gcj),
    ("wgs84", "bd09"): (_to_gcj, _to_bd), ("gcj02", "bd09"): (_to_bd,), ("bd09", "gcj02"): (_from_bd,),
}  # fmt: skip


def convert(lon: Any, lat: Any, source: str, target: str, *, mask: bool = True) -> tuple[Floats, Floats]:
    """Return positions of one frame in another; both arrays, also for scalars.

    With ``mask`` places outside the mainland outline stay as they are.

    Raises:
        Rejected: a frame is not one of ``DATUMS`` (``bad_datum``).
    """
    for name in (source, target):
        if name not in DATUMS:
            raise Rejected(f"Expected a datum of {', '.join(DATUMS)}, was {name!r}", code="bad_datum")
    return _masked(lon, lat, _STEPS.get((source, target), ()), mask=mask)


def to_wgs84(lon: float, lat: float, datum: str) -> tuple[float, float]:
    """Return one position in WGS-84."""
    if datum == "wgs84":
        return lon, lat
    x, y = convert(lon, lat, datum, "wgs84")
    return float(x[0]), float(y[0])


def geometry_to_wgs84(geometry: BaseGeometry, datum: str) -> BaseGeometry:
    """Return a shape in WGS-84. Each part goes as a whole, by a point inside it.

    A vertex-by-vertex mask would tear shapes that touch the border of the mainland.
    """
    if datum == "wgs84":
        return geometry

    def moved(xy: Floats) -> Floats:
        return np.column_stack(convert(xy[:, 0], xy[:, 1], datum, "wgs84", mask=False))

    parts = []
    for part in shapely.get_parts(geometry):
        inner = part.representative_point()
        parts.append(shapely.transform(part, moved) if in_mainland(inner.x, inner.y)[0] else part)
    if len(parts) == 1:
        return parts[0]
    return MultiPolygon(parts) if geometry.geom_type == "MultiPolygon" else type(geometry)(parts)
