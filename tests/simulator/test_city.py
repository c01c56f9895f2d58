"""The fictional city: connected, fenced, exported as valid GeoJSON."""

import itertools

from shapely.geometry import LineString, Point, shape

from simulator.city.build import REGION_ID, City, city_of
from simulator.city.geojson import FENCE_CATEGORIES, city_geojson, fences_geojson
from simulator.city.network import distance_m, to_local, to_wgs84


def test_every_place_reaches_every_other_by_road():
    city = city_of(3)
    goal = city.of("home")[0]
    for place in [*city.places, city.beyond]:
        way = city.route(place.node, goal.node)
        assert way[-1][0] == city.network.nodes[goal.node]
        assert all(distance_m(a, b) < 2_300 for (a, _), (b, _) in itertools.pairwise(way))


def test_the_quickest_way_prefers_the_big_roads():
    city = city_of(3)
    far = max(city.of("home"), key=lambda place: distance_m(place.centre, city.of("home")[0].centre))
    kinds = [kind for _, kind in city.route(city.of("home")[0].node, far.node)]
    assert sum(kind != "local" for kind in kinds) > len(kinds) / 2


def test_the_map_holds_valid_shapes_with_unique_ids_and_two_names():
    features = city_geojson(city_of(3))["features"]
    ids = [feature["id"] for feature in features]
    assert len(set(ids)) == len(ids)
    for feature in features:
        geometry = shape(feature["geometry"])
        assert geometry.is_valid
        assert not geometry.is_empty
        assert feature["properties"]["name"]
        assert feature["properties"]["name_en"].isascii()
    layers = {feature["properties"]["layer"] for feature in features}
    assert layers == {"road", "water", "place", "fence", "region"}
    assert all(
        isinstance(shape(f["geometry"]), LineString) for f in features if f["properties"]["layer"] == "road"
    )


def test_every_fence_category_has_fences_that_hold_their_parking_spots():
    city = city_of(3)
    for category in FENCE_CATEGORIES:
        assert fences_geojson(city, category)["features"], category
    region = shape(fences_geojson(city, "allowed_region")["features"][0]["geometry"])
    assert fences_geojson(city, "allowed_region")["features"][0]["id"] == REGION_ID
    for place in city.places:
        lat, lon = to_wgs84(place.centre)
        assert region.contains(Point(lon, lat))
    lat, lon = to_wgs84(city.beyond.centre)
    assert not region.contains(Point(lon, lat))
    yard = city.of("second_pledge")[0]
    fence = next(
        f for f in fences_geojson(city, "second_pledge")["features"] if f["id"] == f"fence-{yard.place_id}"
    )
    lat, lon = to_wgs84(yard.centre)
    assert shape(fence["geometry"]).contains(Point(lon, lat))


def test_a_seed_decides_the_city_and_local_metres_come_back():
    assert City(5).network.nodes == City(5).network.nodes
    assert City(5).network.nodes != City(6).network.nodes
    assert distance_m(to_local(*to_wgs84((1234.5, -987.6))), (1234.5, -987.6)) < 1e-6
