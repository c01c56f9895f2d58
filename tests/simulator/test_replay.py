"""Recorded files: identities from the whole file, repeats sent again, disorder that loses nothing."""

import collections
import gzip

import msgspec
import pytest

from core import wire
from core.errors import Rejected
from core.tracks import read_tracks
from simulator.fleet.plan import FleetPlan
from simulator.replay import LONGEST_DELAY_MS, Part, Replay, device_id_of
from simulator.trackfile import COLUMNS, write_tracks

TRACK = """vehicle_id,ts,lat,lon,speed_kmh,satellites,ignition,alarms,seq,route_id
bus 7/b,1000,30.1,117.1,12.5,9,1,,5,320
2010,1060,30.2,117.2,0.0,,0,,6,320
2010,1000,30.2,117.2,0.0,,,power_cut removal,7,320
2010,1060,30.2,117.2,0.0,,0,,8,320
2010,1120,,,,,,,9,320
"""
START_MS = 1_795_104_000_000
DAY_MS = 86_400_000


@pytest.fixture
def track(tmp_path):
    path = tmp_path / "track.csv"
    path.write_text(TRACK)
    return path


def bodies(replay):
    return [msgspec.json.decode(report.body) for report in replay.reports()]


def identity(report):
    return report.device_id, report.t_ms, report.boot_id, report.seq


def test_rows_become_position_reports_in_time_order_with_the_rank_of_time_as_number(track):
    reports = list(Replay(track).reports())
    assert [report.t_ms for report in reports] == [1_000_000, 1_000_000, 1_060_000, 1_060_000, 1_120_000]
    assert {report.boot_id for report in reports} == {read_tracks(track).boot_id}
    assert [report.seq for report in reports if report.device_id == "2010"] == [0, 1, 1, 2]
    for report in reports:
        message, ext = wire.decode(report.body)
        assert ext is None  # what a file says about its recording is not the vehicle's
        assert message.seq == report.seq


def test_a_repeated_row_is_sent_again_with_the_same_bytes(track):
    twins = [report for report in Replay(track).reports() if report.t_ms == 1_060_000]
    assert twins[0].body == twins[1].body


def test_columns_become_wire_fields_and_blanks_stay_unsaid(track):
    by_time = collections.defaultdict(list)
    for body in bodies(Replay(track)):
        by_time[body["device_id"]].append(body)
    bus = by_time[device_id_of("bus 7/b")][0]
    assert (bus["sat"], bus["ignition"], bus["speed_kmh"], bus["fix_valid"]) == (9, True, 12.5, True)
    first, *_, last = by_time["2010"]
    assert first["alarms"] == ["power_cut", "removal"]
    assert "sat" not in first
    assert (last["type"], "lat" in last, last["device_time"]) == (
        "heartbeat",
        False,
        "1970-01-01T00:18:40.000Z",
    )


def test_a_name_that_no_device_can_have_gets_a_hash_that_stays_the_same(track):
    assert device_id_of("2010") == "2010"
    assert device_id_of("bus 7/b") == device_id_of("bus 7/b") != device_id_of("bus 7/c")
    assert wire.decode(next(iter(Replay(track).reports())).body)
    assert Replay(track).devices == [("2010", "2010"), ("bus 7/b", device_id_of("bus 7/b"))]


def test_disorder_delays_by_up_to_a_day_and_pieces_put_the_whole_together(tmp_path):
    path = tmp_path / "day.csv.gz"
    write_tracks(path, FleetPlan.scenario("day", 3, 6, START_MS, DAY_MS).reports())
    whole = list(Replay(path).reports())
    shuffled = list(Replay(path, disorder_seed=5, double=True).reports())
    assert collections.Counter(map(identity, shuffled)) == collections.Counter(2 * [*map(identity, whole)])
    assert {identity(r): r.body for r in shuffled} == {identity(r): r.body for r in whole}
    lateness = [report.send_ms - report.t_ms for report in shuffled]
    assert 20 * 3_600_000 < max(lateness) < LONGEST_DELAY_MS + 3_600_000
    assert [r.t_ms for r in shuffled] != sorted(r.t_ms for r in shuffled)
    pieces = [
        report
        for number in range(1, 11)
        for report in Replay(path, disorder_seed=5, double=True, part=Part(number, 10)).reports()
    ]
    assert pieces == shuffled


def test_a_simulated_day_written_to_a_file_comes_back_as_it_was_sent(tmp_path):
    plan = FleetPlan.scenario("day", 3, 12, START_MS, DAY_MS)
    path = tmp_path / "day.csv.gz"
    written = write_tracks(path, plan.reports())
    again = tmp_path / "again.csv.gz"
    write_tracks(again, plan.reports())
    assert path.read_bytes() == again.read_bytes()
    with gzip.open(path, "rt") as file:
        assert file.readline().strip().split(",") == list(COLUMNS)
    live, replayed = list(plan.reports()), list(Replay(path).reports())
    assert len(live) == len(replayed) == written

    def essence(report):
        said = msgspec.json.decode(report.body)
        keep = (
            "lat",
            "lon",
            "speed_kmh",
            "ignition",
            "ext_power_v",
            "alarms",
            "mode",
            "next_report_s",
            "sat",
        )
        # A flag without a fix is an alarm or a heartbeat either way; the file has no column for that.
        return (report.device_id, report.t_ms, [said.get(name) for name in keep])

    assert sorted(map(essence, live), key=repr) == sorted(map(essence, replayed), key=repr)


def test_shifted_times_end_at_the_wanted_moment_and_keep_their_distances(track):
    replay = Replay(track)
    replay.shift_last_to(2_000_000)
    times = [report.t_ms for report in replay.reports()]
    assert times == [1_880_000, 1_880_000, 1_940_000, 1_940_000, 2_000_000]
    assert replay.last_ms == 2_000_000


def test_bad_parts_and_empty_files_are_refused_by_name(tmp_path):
    for text in ("0/3", "4/3", "x", "1/0"):
        with pytest.raises(Rejected, match="I/N"):
            Part.parse(text)
    empty = tmp_path / "empty.csv"
    empty.write_text("vehicle_id,ts,lat,lon\n")
    with pytest.raises(Rejected, match="at least one row"):
        Replay(empty)
