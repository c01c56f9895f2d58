"""The city as GeoJSON (WGS-84): what the map draws and what the fences are."""

from __future__ import annotations

from typing import Any

from simulator.city.build import REGION_ID, City
from simulator.city.names import CITY, EXPRESSWAY, RINGS, RIVER, ROAD_KINDS, WORDS
from simulator.city.network import Point, Road, river_y, to_wgs84
from simulator.city.places import FENCE_HALF_M, Place

FENCE_CATEGORIES = ("allowed_region", "second_pledge", "impound", "yard", "used_car_market", "repair")
RIVER_FROM_M, RIVER_TO_M, RIVER_STEP_M = -17_000, 17_000, 500

Feature = dict[str, Any]


def city_geojson(city: City) -> dict[str, Any]:
    """Return roads (LineString), the river, places (Point), fences and the region (Polygon).

    Every feature has an ``id`` and the properties ``layer`` (road, water, place, fence, region),
    ``category``, ``name`` and ``name_en``.
    """
    features = [*_roads(city), _river(), *(_place_point(place) for place in city.places), *_all_fences(city)]
    return {"type": "FeatureCollection", "features": features}


def fences_geojson(city: City, category: str) -> dict[str, Any]:
    """Return the fences of one category, as `fences import` takes them."""
    features = [feature for feature in _all_fences(city) if feature["properties"]["category"] == category]
    return {"type": "FeatureCollection", "features": features}


def _all_fences(city: City) -> list[Feature]:
    region = _feature(
        REGION_ID, "region", "allowed_region", f"{CITY[0]}行政区", f"{CITY[1]} region",
        {"type": "Polygon", "coordinates": [[_lonlat(point) for point in city.region]]},
    )  # fmt: skip
    fenced = [place for place in city.places if place.category in FENCE_HALF_M]
    return [region, *(_fence(place) for place in fenced)]


def _fence(place: Place) -> Feature:
    ring = [_lonlat(point) for point in place.outline()]
    return _feature(
        f"fence-{place.place_id}", "fence", place.category, place.name, place.name_en,
        {"type": "Polygon", "coordinates": [ring]},
    )  # fmt: skip


def _place_point(place: Place) -> Feature:
    return _feature(
        place.place_id, "place", place.category, place.name, place.name_en,
        {"type": "Point", "coordinates": _lonlat(place.centre)},
    )  # fmt: skip


def _roads(city: City) -> list[Feature]:
    features = []
    for road in city.network.roads:
        name, name_en = _road_name(road)
        for number, run in enumerate(road.runs):
            line = [_lonlat(city.network.nodes[node]) for node in run]
            features.append(
                _feature(
                    f"{road.road_id}-{number}", "road", road.kind, name, name_en,
                    {"type": "LineString", "coordinates": line},
                )
            )  # fmt: skip
    return features


def _road_name(road: Road) -> tuple[str, str]:
    if road.kind == "ring":
        return RINGS[road.name_index]
    if road.kind == "expressway":
        return EXPRESSWAY
    word, word_en = WORDS[road.name_index % len(WORDS)]
    suffix, suffix_en = ROAD_KINDS[road.kind, road.direction]
    return f"{word}{suffix}", f"{word_en} {suffix_en}"


def _river() -> Feature:
    steps = range(RIVER_FROM_M, RIVER_TO_M + 1, RIVER_STEP_M)
    line = [_lonlat((float(x), river_y(float(x)))) for x in steps]
    return _feature("river", "water", "river", *RIVER, {"type": "LineString", "coordinates": line})


def _lonlat(point: Point) -> list[float]:
    lat, lon = to_wgs84(point)
    return [round(lon, 6), round(lat, 6)]


def _feature(
    feature_id: str, layer: str, category: str, name: str, name_en: str, geometry: dict[str, Any]
) -> Feature:
    properties = {"layer": layer, "category": category, "name": name, "name_en": name_en}
    return {"type": "Feature", "id": feature_id, "properties": properties, "geometry": geometry}
