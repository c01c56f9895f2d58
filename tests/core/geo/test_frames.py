import hypothesis.strategies as st
import numpy as np
import pytest
import shapely
from hypothesis import given

from core.errors import Rejected
from core.geo.distance import haversine_many_m
from core.geo.frames import convert, geometry_to_wgs84, in_mainland, to_wgs84

RNG = np.random.default_rng(3)
LON, LAT = RNG.uniform(100, 119, 20_000), RNG.uniform(24, 41, 20_000)


@pytest.mark.parametrize("datum", ["gcj02", "bd09"])
def test_there_and_back_is_less_than_a_millimetre(datum):
    lon, lat = convert(*convert(LON, LAT, "wgs84", datum, mask=False), datum, "wgs84", mask=False)
    assert haversine_many_m(lat, lon, LAT, LON).max() < 0.001


def test_published_pairs_are_met():
    lon, lat = convert(116.404, 39.915, "wgs84", "gcj02")
    assert (lon[0], lat[0]) == pytest.approx((116.4102445, 39.9164043), abs=1e-7)
    lon, lat = convert(116.404, 39.915, "gcj02", "bd09")
    assert (lon[0], lat[0]) == pytest.approx((116.4103695, 39.9213370), abs=1e-7)


def test_the_shift_is_hundreds_of_metres():
    lon, lat = convert(LON, LAT, "wgs84", "gcj02", mask=False)
    shift = haversine_many_m(lat, lon, LAT, LON)
    assert shift.min() > 50
    assert shift.max() < 900


@pytest.mark.parametrize(
    ("name", "lon", "lat", "inside"),
    [
        ("Beijing", 116.40, 39.90, True),
        ("Shanghai", 121.47, 31.23, True),
        ("Shenzhen", 114.06, 22.54, True),
        ("Kashgar", 75.99, 39.47, True),
        ("Sanya", 109.51, 18.25, True),
        ("Mohe", 122.54, 52.97, True),
        ("Hong Kong", 114.17, 22.30, False),
        ("Macau", 113.55, 22.19, False),
        ("Taipei", 121.56, 25.04, False),
        ("Seoul", 126.98, 37.57, False),
        ("Hanoi", 105.85, 21.03, False),
        ("Austin", -97.74, 30.27, False),
    ],
)
def test_the_mask_knows_the_cities(name, lon, lat, inside):
    assert in_mainland(lon, lat)[0] == inside
    assert (to_wgs84(lon, lat, "gcj02") != (lon, lat)) == inside


@given(st.floats(-180, 180), st.floats(-90, 90), st.sampled_from(["gcj02", "bd09"]))
def test_any_place_converts_to_a_finite_place(lon, lat, datum):
    assert np.isfinite(to_wgs84(lon, lat, datum)).all()


def test_a_shape_on_the_mask_moves_as_a_whole():
    shape = shapely.box(120.0, 30.0, 125.0, 31.0)  # reaches out to sea, beyond the outline
    moved = shapely.get_coordinates(geometry_to_wgs84(shape, "gcj02"))
    assert (np.abs(moved - shapely.get_coordinates(shape)).max(axis=1) > 1e-4).all()


def test_an_unknown_datum_is_refused():
    with pytest.raises(Rejected, match="datum"):
        convert(1, 2, "wgs84", "nad27")
