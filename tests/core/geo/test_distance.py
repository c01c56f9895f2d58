import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given
from pyproj import Geod

from core.geo.distance import at_most_m, haversine_m, haversine_many_m, point_segments_m

GEOD = Geod(ellps="WGS84")


@given(st.floats(-85, 85), st.floats(-179, 179), st.floats(-1, 1), st.floats(-1, 1))
def test_the_sphere_is_within_six_tenths_of_a_percent_of_the_ellipsoid(lat, lon, d_lat, d_lon):
    _, _, true_m = GEOD.inv(lon, lat, lon + d_lon, lat + d_lat)
    assert haversine_m(lat, lon, lat + d_lat, lon + d_lon) == pytest.approx(true_m, rel=0.006, abs=0.01)


@given(st.floats(-90, 90), st.floats(-180, 180), st.floats(-90, 90), st.floats(-180, 180), st.floats(0, 1))
def test_the_cheap_bound_is_never_less_than_the_distance(lat, lon, to_lat, to_lon, near):
    for share in (1.0, near, near * 1e-4, near * 1e-8):
        there = lat + share * (to_lat - lat), lon + share * (to_lon - lon)
        assert haversine_m(lat, lon, *there) <= at_most_m(lat, lon, *there)


def test_many_are_what_one_by_one_are():
    rng = np.random.default_rng(1)
    a, b, c, d = rng.uniform(-80, 80, (4, 50))
    expected = [haversine_m(*row) for row in zip(a, b, c, d, strict=True)]
    assert haversine_many_m(a, b, c, d) == pytest.approx(expected)


def test_the_nearest_point_of_a_segment_may_be_its_middle_or_an_end():
    segments = np.array(
        [[117.0, 30.0, 117.2, 30.0], [117.2, 30.1, 117.2, 30.2], [117.1, 30.05, 117.1, 30.05]]
    )
    distance = point_segments_m(30.05, 117.1, segments)
    assert distance[0] == pytest.approx(haversine_m(30.05, 117.1, 30.0, 117.1), rel=1e-6)
    assert distance[1] == pytest.approx(haversine_m(30.05, 117.1, 30.1, 117.2), rel=1e-3)
    assert distance[2] == 0.0
