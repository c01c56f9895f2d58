import gzip
import json
import math
from pathlib import Path

import numpy as np
import pytest
import shapely

from core.errors import Rejected
from geofence.fences import Fence, fence_from_row, fence_to_row, load_geojson
from geofence.index import FenceIndex

SQUARE = [[[0, 0], [1, 0], [1, 1], [0, 1], [0, 0]]]
BOUNDARIES = Path(__file__).parents[3] / "shared" / "data" / "boundaries"


def collection(*features):
    return json.dumps({"type": "FeatureCollection", "features": list(features)}).encode()


def feature(coordinates, kind="Polygon", fence_id="f", **properties):
    geometry = {"type": kind, "coordinates": coordinates}
    return {"type": "Feature", "id": fence_id, "properties": properties, "geometry": geometry}


def load_one(*args, **properties):
    return load_geojson(collection(feature(*args, **properties)), None)


def test_polygons_circles_and_corridors_are_read():
    loaded = load_geojson(
        collection(
            feature(SQUARE, fence_id="p", name="广场"),
            feature([1, 2], "Point", "c", radius_m=150, category="pawn"),
            feature([[0, 0], [1, 1]], "LineString", "r", width_m=400, hysteresis_m=20),
        ),
        None,
    )
    assert [(f.id, f.kind, f.category) for f in loaded.fences] == [
        ("p", "polygon", "region"), ("c", "circle", "pawn"), ("r", "corridor", "region"),
    ]  # fmt: skip
    assert loaded.fences[0].name == "广场"
    assert (loaded.fences[1].radius_m, loaded.fences[2].width_m, loaded.fences[2].hysteresis_m) == (
        150,
        400,
        20,
    )
    assert loaded.refused == loaded.repaired == []


@pytest.mark.parametrize(
    ("feature_id", "properties", "expected"),
    [
        ("x", {"id": "y", "adcode": 1, "name": "n"}, "x"),
        (None, {"id": "y", "adcode": 1, "name": "n"}, "y"),
        (None, {"adcode": 310000, "name": "n"}, "310000"),
        (None, {"name": "n"}, "n"),
        (None, {"NAME": "N"}, "N"),
        (None, {}, "feature-1"),
    ],
)
def test_the_scope_is_the_id_or_the_next_best_name(feature_id, properties, expected):
    loaded = load_geojson(collection(feature(SQUARE, fence_id=feature_id, **properties)))
    assert [f.id for f in loaded.fences] == [expected]


def test_a_bow_tie_half_of_which_vanishes_is_refused_and_a_touching_ring_is_repaired():
    spike = [[[0, 0], [1, 0], [1, 1], [0.5, 1], [0.5, 1.001], [0.5, 1], [0, 1], [0, 0]]]
    loaded = load_one(spike)
    assert loaded.fences[0].geometry.is_valid
    assert "rings rebuilt" in loaded.repaired[0]
    overlapping = [[[0, 0], [4, 0], [4, 4], [0, 4], [0, 0]], [[3, 1], [9, 1], [9, 3], [3, 3], [3, 1]]]
    refused = load_one(overlapping)
    assert refused.fences == []
    assert "area within 1 %" in refused.refused[0]


@pytest.mark.parametrize(
    ("coordinates", "kind", "reason"),
    [
        ([[[0, 0], [math.nan, 0], [1, 1], [0, 0]]], "Polygon", "finite"),
        ([[[0, 0], [1, 91], [1, 1], [0, 0]]], "Polygon", "latitudes within 90"),
        ([[[0, 0], [700, 0], [1, 1], [0, 0]]], "Polygon", "longitudes within 360"),
        ([[[0, 0], [1, 0]]], "Polygon", "coordinates of a Polygon"),
        ([[[0, 0], [1, 1], [0, 0], [0, 0]]], "Polygon", "vanished"),
        ([], "Polygon", "empty"),
        ("here", "Polygon", "coordinates"),
        ([1, 2], "Point", "radius_m"),
        ([[[0, -89], [90, -80], [180, -80], [-90, -80], [0, -89]]], "Polygon", "pole"),
        ([[math.cos(t), math.sin(t)] for t in np.linspace(0, 6.28, 100_002)], "LineString", "vertices"),
    ],
)
def test_what_cannot_be_used_is_refused_with_a_reason_and_blocks_nobody(coordinates, kind, reason):
    loaded = load_geojson(collection(feature(coordinates, kind, "bad"), feature(SQUARE, fence_id="good")))
    assert [f.id for f in loaded.fences] == ["good"]
    (text,) = loaded.refused
    assert text.startswith("feature 1 (bad): ")
    assert reason in text


def test_a_repeated_id_an_unknown_category_and_a_missing_geometry_are_refused():
    other: dict[str, object] = {"type": "Feature", "id": "g", "properties": {}, "geometry": None}
    loaded = load_geojson(
        collection(feature(SQUARE), feature(SQUARE), feature(SQUARE, fence_id="h", category="zoo"), other, 5),
        None,
    )
    assert len(loaded.fences) == 1
    assert len(loaded.refused) == 4


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"", "not_json"),
        (b"{", "not_json"),
        (b"\xff\xfe", "not_json"),
        (b"[1]", "not_geojson"),
        (b'{"type": "Topology"}', "not_geojson"),
        (b'{"type": "FeatureCollection", "features": 3}', "not_geojson"),
        (b"\x1f\x8b\x08broken", "not_gzip"),
        (b"[" * 100_000, "not_json"),
    ],
)
def test_a_file_that_is_no_geojson_is_one_clear_error(data, code):
    with pytest.raises(Rejected) as caught:
        load_geojson(data)
    assert caught.value.code == code


def test_a_shape_across_the_180th_meridian_is_split_and_found_on_both_sides():
    jumping = load_one([[[179, 0], [-179, 0], [-179, 1], [179, 1], [179, 0]]])
    beyond = load_one([[[179, 0], [181, 0], [181, 1], [179, 1], [179, 0]]])
    for loaded in (jumping, beyond):
        (fence,) = loaded.fences
        assert "180th meridian" in loaded.repaired[0]
        assert shapely.bounds(fence.geometry).tolist() == [-180, 0, 180, 1]
        index = FenceIndex.build([fence])
        lons = np.array([179.5, -179.5, 180.0, 180.5, -180.0, 178.9, -178.9, 0.0])
        inside = [any(d <= 0 for _, d in hits) for hits in index.locate(lons, np.full(8, 0.5))]
        assert inside == [True, True, True, True, True, False, False, False]


def test_a_frame_of_the_world_holds_the_world():
    (fence,) = load_one([[[-180, -80], [180, -80], [180, 80], [-180, 80], [-180, -80]]]).fences
    assert fence.geometry.area == 360 * 160


def test_a_fence_declared_in_gcj02_is_moved_to_wgs84():
    loaded = load_geojson(
        collection(feature([116.41024449916938, 39.91640428150164], "Point", radius_m=50)), "yard", "gcj02"
    )
    centre = loaded.fences[0].geometry
    assert (centre.x, centre.y) == pytest.approx((116.404, 39.915), abs=1e-8)
    assert loaded.fences[0].datum == "gcj02"


def test_a_fence_survives_its_row():
    fence = Fence(
        id="f",
        version=3,
        name="n",
        category="pawn",
        kind="circle",
        geometry=shapely.Point(1, 2),
        radius_m=5.0,
    )
    row = fence_to_row(fence)
    assert isinstance(row["wkb"], bytes)
    assert fence_from_row({**row, "unrelated": 1}) == fence


def test_gzip_is_read_as_it_is():
    assert len(load_geojson(gzip.compress(collection(feature(SQUARE)))).fences) == 1


@pytest.mark.parametrize(
    ("name", "datum", "fences", "repaired", "refused"),
    [
        ("cn_provinces_gcj02", "gcj02", 35, 25, 0),
        ("cn_cities_gcj02", "gcj02", 476, 81, 0),
        ("san_francisco_neighbourhoods_wgs84", "wgs84", 37, 3, 0),
        ("ne_110m_admin_0_countries_wgs84", "wgs84", 177, 2, 0),
    ],
)
def test_published_boundaries_are_repaired_and_agree_with_shapely(name, datum, fences, repaired, refused):
    path = BOUNDARIES / f"{name}.geojson.gz"
    if not path.exists():
        pytest.skip(reason=f"the shared file {path.name} is absent")
    loaded = load_geojson(path.read_bytes(), "region", datum)
    assert (len(loaded.fences), len(loaded.repaired), len(loaded.refused)) == (fences, repaired, refused)
    index = FenceIndex.build(loaded.fences)
    rng = np.random.default_rng(5)
    vertices = index.edges.edges[rng.integers(0, len(index.edges.edges), 1500)]
    lons = np.r_[vertices[:, 0], (vertices[:, 0] + vertices[:, 2]) / 2, rng.uniform(-180, 180, 1500)]
    lats = np.r_[vertices[:, 1], (vertices[:, 1] + vertices[:, 3]) / 2, rng.uniform(-85, 85, 1500)]
    lons = np.where(lons == 180.0, -180.0, lons)
    geometries = np.array([f.geometry for f in loaded.fences])
    oracle = shapely.intersects_xy(geometries[:, None], lons, lats)
    for point, hits in enumerate(index.locate(lons, lats)):
        assert {n for n, d in hits if d <= 0} == set(np.flatnonzero(oracle[:, point]))
