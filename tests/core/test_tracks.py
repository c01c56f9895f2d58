import gzip

import pytest

from core.errors import NotFound, Rejected
from core.tracks import read_tracks

HEADER = "vehicle_id,ts,lat,lon,speed_kmh,ignition,alarms,satellites,received_at,route\n"


@pytest.fixture
def write(tmp_path):
    def write(text, name="t.csv"):
        path = tmp_path / name
        path.write_bytes(gzip.compress(text.encode()) if name.endswith("gz") else text.encode())
        return path

    return write


def test_a_row_has_typed_fields_under_the_names_of_the_wire(write):
    (row,) = read_tracks(
        write(HEADER + "v1,1500000000.5,30.5,117.25,36,1,power_cut;sos,9,2017-07-14T02:40:05Z,7\n")
    ).rows
    assert (row.vehicle_id, row.ts_ms, row.seq) == ("v1", 1_500_000_000_500, 0)
    assert row.fields == {
        "lat": 30.5, "lon": 117.25, "speed_kmh": 36.0, "ignition": True, "alarms": ["power_cut", "sos"],
        "sat": 9, "received_ms": 1_500_000_005_000, "route": "7",
    }  # fmt: skip


def test_seq_is_the_rank_of_the_time_and_repeats_share_it(write):
    file = read_tracks(write("vehicle_id,ts,lat,lon\nb,30,1,1\na,20,1,1\na,10,1,1\na,20,2,2\na,30,1,1\n"))
    assert [(r.vehicle_id, r.ts_ms, r.seq) for r in file.rows] == [
        ("b", 30_000, 0), ("a", 20_000, 1), ("a", 10_000, 0), ("a", 20_000, 1), ("a", 30_000, 2),
    ]  # fmt: skip
    assert [r.fields["lat"] for r in file.distinct() if r.vehicle_id == "a"] == [1.0, 1.0, 1.0]


def test_the_boot_id_is_the_content_not_the_packing(write):
    text = "vehicle_id,ts,lat,lon\na,2020-01-01T00:00:00+08:00,1,1\n"
    plain, packed = read_tracks(write(text)), read_tracks(write(text, "t.csv.gz"))
    assert plain == packed
    assert 0 <= plain.boot_id < 2**63
    assert plain.boot_id != read_tracks(write(text + "a,5,1,1\n")).boot_id
    assert plain.rows[0].ts_ms == 1_577_808_000_000


def test_blank_cells_are_absent_fields(write):
    (row,) = read_tracks(write(HEADER + "v1,5,,,,,,,,\n")).rows
    assert row.fields == {}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "Line 1: expected a header"),
        ("vehicle_id,ts,lat\n", "Line 1: expected a header"),
        ("vehicle_id,ts,lat,lon,lat\n", "Line 1: expected each column once"),
        ("vehicle_id,ts,lat,lon\na,1,2,3\na,1,2\n", "Line 3: expected 4 columns, was 3"),
        ("vehicle_id,ts,lat,lon\na,1,91,3\n", "Line 2: expected lat between -90 and 90, was '91'"),
        ("vehicle_id,ts,lat,lon\na,1,nan,3\n", "Line 2: expected lat"),
        ("vehicle_id,ts,lat,lon\na,soon,1,3\n", "Line 2: expected ts"),
        ("vehicle_id,ts,lat,lon\na,1500000000000,1,3\n", "Line 2: expected ts in Unix seconds"),
        ("vehicle_id,ts,lat,lon\n,1,1,3\n", "Line 2: expected vehicle_id, was blank"),
        ("vehicle_id,ts,lat,lon,ignition\na,1,1,3,maybe\n", "Line 2: expected ignition"),
        ('vehicle_id,ts,lat,lon\na,1,1,"3\n', "expected CSV"),
    ],
)
def test_a_broken_line_is_named(write, text, message):
    with pytest.raises(Rejected, match=message.replace("(", r"\(")):
        read_tracks(write(text))


def test_files_that_are_no_tracks_are_refused(tmp_path):
    with pytest.raises(NotFound):
        read_tracks(tmp_path / "none.csv")
    for name, data in {
        "cut.gz": gzip.compress(b"vehicle_id,ts,lat,lon\n" * 99)[:40],
        "latin": b"vehicle_id\n\xff",
    }.items():
        (tmp_path / name).write_bytes(data)
        with pytest.raises(Rejected):
            read_tracks(tmp_path / name)
