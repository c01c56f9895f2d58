"""Signed distances: against geodesics, for each kind of fence."""

import numpy as np
import pytest
import shapely
from pyproj import Geod

from geofence.fence import Fence
from geofence.index import NEAR_M, FenceIndex
from geofence.shapes import inradius_m
from tests.geofence.drives import box, circle, place

GEOD = Geod(ellps="WGS84")


def located(fence, *eastings):
    index = FenceIndex.build([fence])
    lats, lons = np.array([place(e) for e in eastings]).T
    return [dict(hits).get(0) for hits in index.locate(lons, lats)]


def test_distances_to_a_polygon_are_negative_inside_and_cut_off_when_far():
    found = located(box("f", 0, 5000), -400, -100, 0.5, 100, 2500)
    assert found == [None, pytest.approx(100), pytest.approx(-0.5, abs=0.01), pytest.approx(-100), -NEAR_M]


def test_distances_to_a_circle():
    found = located(circle("c", 0, 200), 600, 300, 200.5, 0)
    assert found == [None, pytest.approx(100, abs=0.1), pytest.approx(0.5, abs=0.1), pytest.approx(-200)]


def test_distances_to_a_corridor_are_from_its_edge():
    (lat, west), (_, east) = place(-5000), place(5000)
    road = Fence(
        id="r", kind="corridor", geometry=shapely.LineString([(west, lat), (east, lat)]), width_m=400
    )
    index = FenceIndex.build([road])
    lats, lons = np.array([place(0, north) for north in (0, 150, 250, 700)]).T
    found = [dict(hits).get(0) for hits in index.locate(lons, lats)]
    assert found == [pytest.approx(-200), pytest.approx(-50), pytest.approx(50), None]


def test_holes_and_parts_count():
    outer, hole = shapely.box(0, 0, 1, 1), shapely.box(0.4, 0.4, 0.6, 0.6)
    shape = shapely.MultiPolygon([outer.difference(hole), shapely.box(2, 0, 3, 1)])
    index = FenceIndex.build([Fence(id="f", geometry=shape)])
    lons, lats = np.array([0.2, 0.5, 0.4, 2.5, 1.5, 0.401]), np.array([0.2, 0.5, 0.5, 0.5, 0.5, 0.5])
    inside = [any(d <= 0 for _, d in hits) for hits in index.locate(lons, lats)]
    assert inside == [True, False, True, True, False, False]
    assert dict(index.locate(lons, lats)[5])[0] == pytest.approx(111.2, abs=0.5)


def test_distances_match_geodesics_within_half_a_percent():
    rng = np.random.default_rng(11)
    turn = np.sort(rng.uniform(0, 2 * np.pi, 60))
    ring = np.column_stack([117.9 + 0.05 * np.cos(turn), 45 + 0.04 * np.sin(turn)])
    index = FenceIndex.build([Fence(id="f", geometry=shapely.Polygon(ring))])
    for _ in range(200):
        lon, lat = rng.uniform(117.84, 117.96), rng.uniform(44.95, 45.05)
        border = index.fences[0].geometry.exterior.segmentize(1e-5)
        lons, lats = shapely.get_coordinates(border).T
        near = np.argsort((lons - lon) ** 2 * 0.5 + (lats - lat) ** 2)[:400]
        _, _, metres = GEOD.inv(np.full(400, lon), np.full(400, lat), lons[near], lats[near])
        assert abs(index.signed_distance_m(0, lon, lat)) == pytest.approx(metres.min(), rel=0.005, abs=1.5)


def test_a_vehicle_s_own_fence_is_found_only_when_asked_for():
    index = FenceIndex.build([box("mine", 0, 5000, scope="vehicle")])
    lat, lon = place(100)
    assert index.locate(np.array([lon]), np.array([lat])) == [()]
    ((number, distance),) = index.locate(np.array([lon]), np.array([lat]), [(0, 0)])[0]
    assert number == 0
    assert distance == pytest.approx(-100)


def test_no_fences_and_no_points_are_fine():
    assert FenceIndex.build([]).locate(np.array([1.0]), np.array([2.0])) == [()]
    assert FenceIndex.build([box("f", 0, 1)]).locate(np.zeros(0), np.zeros(0)) == []


@pytest.mark.parametrize(
    ("fence", "expected"), [(box("f", 0, 100, half_m=1000), 50), (circle("c", 0, 80), 80)]
)
def test_the_inradius_of_thin_shapes_is_their_half_width(fence, expected):
    assert inradius_m(fence, 500) == pytest.approx(expected, rel=0.02)


def test_versions_are_chosen_by_their_dates():
    old, new = box("f", 0, 1, valid_to_ms=100), box("f", 0, 2, version=2, valid_from_ms=100, valid_to_ms=200)
    index = FenceIndex.build([new, old])
    versions = [index.active("f", t) for t in (0, 99, 100, 199, 200)]
    assert [n if n is None else index.fences[n].version for n in versions] == [1, 1, 2, 2, None]
    assert index.active("g", 0) is None
