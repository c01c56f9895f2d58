"""The benches run whole on tiny counts: what they print is there, finite, and made of what they measured."""

import math
import subprocess
import sys

import numpy as np
import pytest
import shapely

from core.db.migrate import migrate
from core.errors import Unavailable
from geofence.index import FenceIndex
from pledgewatch.bench import geofence, ingest
from pledgewatch.bench.cpu import TICK_S, CpuMeter
from pledgewatch.bench.receiving import median_run
from pledgewatch.bench.rig import Run, expect
from pledgewatch.bench.run import EXTRA_SETTINGS
from pledgewatch.bench.storage import measuring
from pledgewatch.bench.workload import CITY, PROVINCE, DrivingFleet, circles, polygons, starts
from pledgewatch.embedded.broker import EmbeddedBroker
from pledgewatch.embedded.mosquitto import find_mosquitto
from pledgewatch.embedded.postgres import EmbeddedPostgres
from tests.fix_stack import missing

INGEST_KEYS = {
    "cpu_us_per_msg", "cpu_us_ingest", "cpu_us_database", "cpu_us_broker", "cpu_us_publisher", "cpu_us_receive_ack",
    "msgs_per_s", "messages_per_batch", "publish_to_commit_p50_ms", "publish_to_commit_p99_ms",
    "replay_speed_ratio", "replay_cpu_us_per_msg", "lost", "duplicate", "ghost", "findings", "flush_ms",
    "publish_to_alert_p50_ms", "publish_to_alert_p99_ms", "catchup_ratio", "outage_rss_growth_mb",
}  # fmt: skip
GEOFENCE_KEYS = {
    "stateful_fixes_per_s", "single_fix_us", "single_report_us", "rules_cpu_us_per_report",
    "membership_fixes_per_s", "disagreements", "places_compared", "build_s",
}  # fmt: skip
SMALL_FLEET = geofence.Size(
    polygons=60,
    circles=20,
    vehicles=300,
    rounds=3,
    rule_vehicles=20,
    rule_rounds=10,
    places=2_000,
    singles=20,
)


def not_finite(result):
    groups = {"figures": result.figures, "ratios": result.ratios, **result.peers}
    return [
        (group, key) for group, values in groups.items() for key, value in values.items()
        if not (math.isfinite(value) and value >= 0.0)
    ]  # fmt: skip


@pytest.mark.db
@pytest.mark.slow
@pytest.mark.broker
def test_the_ingest_bench_measures_every_key_beside_its_peers(tmp_path):
    if find_mosquitto() is None:
        missing("broker", "mosquitto is not on the PATH")
    size = ingest.Size(
        devices=10,
        reports=200,
        peer_reports=100,
        receive_rounds=2,
        paced_s=0.5,
        outage_s=1.0,
        polygons=20,
        circles=10,
    )
    told: list[str] = []
    with EmbeddedPostgres(tmp_path / "postgres", extra_settings=EXTRA_SETTINGS) as server:
        migrate(server.dsn)
        with EmbeddedBroker(tmp_path / "broker") as broker:
            result = ingest.bench_ingest(server, broker, told.append, size=size)
    figures = result.figures
    assert set(figures) == INGEST_KEYS
    assert not_finite(result) == []
    assert (figures["lost"], figures["duplicate"], figures["ghost"]) == (0, 0, 0)
    assert figures["cpu_us_per_msg"] == pytest.approx(figures["cpu_us_ingest"] + figures["cpu_us_database"])
    assert 0 < figures["publish_to_commit_p50_ms"] <= figures["publish_to_commit_p99_ms"]
    assert 1 <= figures["messages_per_batch"] <= size.reports + 2 * size.devices  # status messages too
    assert set(result.peers) == {"insert_per_message", "executemany", "paho_loop", "paho_loop_311"}
    for peer in ("insert_per_message", "executemany"):
        assert result.ratios[peer] == pytest.approx(
            result.peers[peer]["cpu_us_per_msg"] / figures["cpu_us_per_msg"]
        )
    for peer in ("paho_loop", "paho_loop_311"):
        assert result.ratios[peer] == pytest.approx(
            result.peers[peer]["cpu_us_receive_ack"] / figures["cpu_us_receive_ack"]
        )
    assert result.machine["fsync"] == "on"
    assert result.machine["broker"].startswith("Mosquitto")
    assert len(told) == 9


def test_of_several_rounds_the_one_in_the_middle_counts():
    runs = [Run({"consumer": cpu_us, "broker": 0.0}, 0.0, 1.0, 1) for cpu_us in (9.0, 1.0, 5.0, 70.0, 6.0)]
    assert median_run(runs).cpu_us["consumer"] == 6.0
    assert median_run(runs[:2]).cpu_us["consumer"] == 1.0


def test_the_geofence_bench_measures_every_key_beside_its_peer():
    result = geofence.bench_geofence(lambda _: None, size=SMALL_FLEET)
    assert set(result.figures) == GEOFENCE_KEYS
    assert not_finite(result) == []
    assert result.figures["disagreements"] == 0
    assert result.figures["places_compared"] > SMALL_FLEET.places + 60 * 30
    peer = result.peers["strtree_predicate"]
    assert result.ratios["strtree_predicate"] == pytest.approx(
        result.figures["stateful_fixes_per_s"] / peer["stateful_fixes_per_s"]
    )
    assert 0 < peer["events_per_fix"] < 1
    assert peer["hits_per_fix"] > 0


def test_the_comparison_with_shapely_notices_an_index_of_other_fences():
    rng = np.random.default_rng(1)
    fences = [
        *polygons(rng, 10, PROVINCE, "region", radius_m=(2_000.0, 5_000.0)),
        *circles(rng, 10, PROVINCE, "yard"),
    ]
    right = geofence._disagreements(np.random.default_rng(2), FenceIndex.build(fences), fences, 5_000)
    moved = [*fences[1:], fences[0]]
    wrong = geofence._disagreements(np.random.default_rng(2), FenceIndex.build(moved), fences, 5_000)
    assert right[0] == 0
    assert wrong[0] > 100


def test_generated_fences_are_valid_and_vehicles_move_as_fast_as_they_say():
    rng = np.random.default_rng(3)
    fences = polygons(rng, 50, CITY, "second_pledge", radius_m=(100.0, 1_000.0))
    assert all(shapely.is_valid(fence.geometry) for fence in fences)
    fleet = DrivingFleet(rng, *starts(rng, 40, CITY, fences))
    before, after = fleet.step(30.0), fleet.step(30.0)
    steps_m = [
        math.hypot(
            (b["lat"] - a["lat"]) * 111_195, (b["lon"] - a["lon"]) * 111_195 * math.cos(math.radians(30.3))
        )
        for a, b in zip(before, after, strict=True)
    ]
    for step_m, said in zip(steps_m, after, strict=True):
        assert step_m == pytest.approx(said["speed_kmh"] / 3.6 * 30.0, abs=40.0)
    assert {said["ignition"] for said in after} == {True, False}


def test_processor_time_of_a_child_that_has_ended_is_counted_with_its_parent():
    burn = "import time\nwhile time.process_time() < 0.4: pass\n"
    parent = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {burn!r}]); input(print('burnt', flush=True) or '')"
    process = subprocess.Popen([sys.executable, "-c", parent], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert process.stdout is not None
    try:
        meter = CpuMeter({"parent": process.pid})
        meter.start()
        assert process.stdout.readline().strip() == b"burnt"
        assert meter.seconds()["parent"] >= 0.35
        meter.start()
        assert meter.seconds()["parent"] == pytest.approx(TICK_S, abs=2 * TICK_S)
    finally:
        process.communicate(b"\n")


def test_a_run_that_stored_less_than_it_sent_gives_no_figures():
    expect(5, 5, "rows")
    with pytest.raises(Unavailable, match="Expected 5 rows, was 4"):
        expect(4, 5, "rows")


@pytest.mark.slow
def test_the_storage_bench_finds_the_same_last_positions_in_every_way(database_url):
    size = measuring.Size(devices=200, rounds=3, vehicles=3, days=1, repeats=1)
    result = measuring.bench_storage(database_url, lambda text: None, size=size)
    assert {"last_position_ms", "last_position_ratio", "rollup_us_per_report"} <= result.figures.keys()
    assert ("compression_ratio" in result.figures) == (result.machine["timescaledb"] != "absent")
    assert result.peers.keys() == {"distinct_on", "skip_scan", "lateral"}
    assert not_finite(result) == []
