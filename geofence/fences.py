"""GeoJSON becomes fences: converted to WGS-84, repaired or refused with a reason, one by one.

A polygon is a Polygon or MultiPolygon; a circle a Point with ``properties.radius_m``; a corridor a
LineString with ``properties.width_m``. A refused feature never blocks the others; a file that is
not GeoJSON at all is one ``Rejected``.
"""

from __future__ import annotations

import gzip
import json
import math
import zlib
from dataclasses import dataclass, field, replace
from typing import Any

import msgspec
import numpy as np
import shapely
from shapely.geometry import shape
from shapely.geometry.base import BaseGeometry

from core.errors import Rejected
from core.geo.frames import DATUMS, geometry_to_wgs84
from geofence.fence import (
    CATEGORIES,
    FOREVER_MS,
    RISK_CATEGORIES,
    Fence,
    Kind,
    check_fence,
    fence_from_row,
    fence_to_row,
)
from geofence.repair import refuse_odd_coordinates, repair

__all__ = [
    "CATEGORIES",
    "FOREVER_MS",
    "RISK_CATEGORIES",
    "Fence",
    "LoadReport",
    "check_fence",
    "fence_from_row",
    "fence_to_row",
    "load_geojson",
]

MAX_FILE_BYTES = 512 * 1024 * 1024
NAME_KEYS = ("id", "adcode", "name")
KINDS: dict[str, Kind] = {
    "Polygon": "polygon",
    "MultiPolygon": "polygon",
    "Point": "circle",
    "LineString": "corridor",
    "MultiLineString": "corridor",
}


@dataclass(slots=True)
class LoadReport:
    """What became of a file. ``repaired`` and ``refused`` are texts that name the feature and say why."""

    fences: list[Fence] = field(default_factory=list)
    repaired: list[str] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)


def load_geojson(data: bytes, category: str | None = "other", datum: str = "wgs84") -> LoadReport:
    """Read a FeatureCollection, a Feature or a bare geometry (gzip or plain).

    ``category`` None takes ``properties.category`` of each feature, ``region`` where there is none.

    Raises:
        Rejected: not JSON (``not_json``), not GeoJSON (``not_geojson``), an unknown datum or
            category, or too large.
    """
    if datum not in DATUMS:
        raise Rejected(f"Expected a datum of {', '.join(DATUMS)}, was {datum!r}", code="bad_datum")
    if category is not None and category not in CATEGORIES:
        raise Rejected(
            f"Expected a category of {', '.join(sorted(CATEGORIES))}, was {category!r}", code="bad_category"
        )
    report, taken = LoadReport(), set[str]()
    for number, feature in enumerate(_features(_parse(data)), start=1):
        label = f"feature {number}"
        try:
            fence_id = _identity(feature, number)
            label = f"feature {number} ({fence_id})"
            if fence_id in taken:
                raise Rejected(f"Expected ids to differ, {fence_id!r} came twice", code="fence_repeated")
            fence, note = _fence(feature, fence_id, category, datum)
        except Rejected as exc:
            report.refused.append(f"{label}: {exc.message}")
            continue
        taken.add(fence_id)
        report.fences.append(fence)
        if note:
            report.repaired.append(f"{label}: {note}")
    return report


def _parse(data: bytes) -> dict[str, Any]:
    if data[:2] == b"\x1f\x8b":
        try:
            data = gzip.decompress(data)
        except (OSError, EOFError, zlib.error) as exc:
            raise Rejected(f"Expected a gzip file, was damaged: {exc}", code="not_gzip") from exc
    if len(data) > MAX_FILE_BYTES:
        raise Rejected(f"Expected at most {MAX_FILE_BYTES} bytes, was {len(data)}", code="file_too_large")
    text = data.removeprefix(b"\xef\xbb\xbf")
    try:
        document = msgspec.json.decode(text)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        document = _lenient(text)
    if not isinstance(document, dict):
        raise Rejected("Expected a GeoJSON object, was another JSON value", code="not_geojson")
    return document


def _lenient(text: bytes) -> Any:
    """Read JSON that also holds NaN or Infinity, so that one such vertex refuses its feature alone."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as exc:
        raise Rejected(f"Expected GeoJSON, was not JSON: {exc}", code="not_json") from exc


def _features(document: dict[str, Any]) -> list[Any]:
    kind = document.get("type")
    if kind == "FeatureCollection":
        features = document.get("features")
        if not isinstance(features, list):
            raise Rejected("Expected features to be a list", code="not_geojson")
        return features
    if kind == "Feature":
        return [document]
    if kind in KINDS:
        return [{"type": "Feature", "properties": {}, "geometry": document, "id": document.get("id", "1")}]
    raise Rejected(f"Expected a FeatureCollection or a Feature, was type {kind!r}", code="not_geojson")


def _identity(feature: Any, number: int) -> str:
    """Return the feature's id, else properties id, adcode or name (any case), else its number."""
    if not isinstance(feature, dict) or feature.get("type") != "Feature":
        raise Rejected("Expected a Feature", code="bad_feature")
    properties = {str(key).lower(): value for key, value in reversed(_properties(feature).items())}
    for value in (feature.get("id"), *(properties.get(key) for key in NAME_KEYS)):
        if isinstance(value, str | int | float) and not isinstance(value, bool) and str(value).strip():
            text = str(int(value)) if isinstance(value, float) and value.is_integer() else str(value).strip()
            if "\0" in text:
                raise Rejected("Expected an id without U+0000", code="bad_feature")
            return text[:200]
    return f"feature-{number}"


def _properties(feature: dict[str, Any]) -> dict[str, Any]:
    properties = feature.get("properties")
    return properties if isinstance(properties, dict) else {}


def _fence(feature: dict[str, Any], fence_id: str, category: str | None, datum: str) -> tuple[Fence, str]:
    properties, raw = _properties(feature), feature.get("geometry")
    if not isinstance(raw, dict) or raw.get("type") not in KINDS:
        kind = raw.get("type") if isinstance(raw, dict) else None
        raise Rejected(f"Expected a geometry of {', '.join(KINDS)}, was {kind!r}", code="bad_geometry")
    try:
        with np.errstate(invalid="ignore"):  # NaN is refused below, with a better reason
            drawn: BaseGeometry = shape(raw)
    except (shapely.errors.ShapelyError, ValueError, TypeError, AttributeError, IndexError, KeyError) as exc:
        raise Rejected(
            f"Expected coordinates of a {raw['type']}, were not: {exc}", code="bad_geometry"
        ) from exc
    refuse_odd_coordinates(drawn)
    drawn = shapely.force_2d(drawn)
    kind = KINDS[raw["type"]]
    note = ""
    if kind == "polygon":
        drawn, note = repair(drawn)
    own_datum = properties.get("datum", datum)
    if own_datum not in DATUMS:
        raise Rejected(f"Expected a datum of {', '.join(DATUMS)}, was {own_datum!r}", code="bad_datum")
    if own_datum != "wgs84":
        drawn = geometry_to_wgs84(drawn, own_datum)
        if kind == "polygon" and not drawn.is_valid:
            drawn, second = repair(drawn)
            note = "; ".join(filter(None, (note, f"after conversion: {second}")))
    fence = Fence(
        id=fence_id,
        name=str(properties.get("name") or properties.get("NAME") or fence_id).replace("\0", "")[:200],
        category=category if category is not None else str(properties.get("category") or "region"),
        kind=kind,
        geometry=drawn,
        datum=own_datum,
        radius_m=_metres(properties, "radius_m") if kind == "circle" else 0.0,
        width_m=_metres(properties, "width_m") if kind == "corridor" else 0.0,
    )
    if "hysteresis_m" in properties:
        fence = replace(fence, hysteresis_m=_metres(properties, "hysteresis_m"))
    if "dwell_s" in properties:
        fence = replace(fence, dwell_s=int(_metres(properties, "dwell_s")))
    return check_fence(fence), note


def _metres(properties: dict[str, Any], key: str) -> float:
    value = properties.get(key)
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value) or value < 0:
        raise Rejected(f"Expected properties.{key} to be a number from 0, was {value!r}", code="bad_fence")
    return float(np.float64(value))
