"""Passed time: who is judged silent, when, and when nobody may be."""

from __future__ import annotations

import pytest

from core.clock import from_ms
from core.db.pool import connect
from geofence.oracle import compare
from geofence.replayer import Replayer
from geofence.store import states as state_store
from geofence.store.deadlines import outages
from geofence.sweeper import Sweeper, SweepOutcome
from geofence.writer import RuleWriter
from tests.geofence.stateful.fleet import (
    LAT,
    LON,
    MINUTE,
    START_MS,
    TIMEZONE,
    add_fence,
    ingest,
    register,
    report,
    serve_replays,
    set_watermark,
)

HOUR = 60
DAY = 24 * HOUR


@pytest.fixture
def conn(database_url):
    with connect(database_url, name="test-sweeper", autocommit=True) as connection:
        register(connection, "v1")
        yield connection


@pytest.fixture
def writer():
    return RuleWriter(timezone=TIMEZONE)


@pytest.fixture
def sweeper():
    return Sweeper(timezone=TIMEZONE, slots=1)


def sweep(conn, sweeper, minute, *, now=None):
    """Sweep with everything stored up to a minute."""
    set_watermark(conn, START_MS + minute * MINUTE)
    return sweeper.run_once(conn, now=from_ms(START_MS + (minute if now is None else now) * MINUTE))


def offline(conn, device_id="d1"):
    rows = conn.execute(
        "SELECT event, severity, round((extract(epoch FROM event_time) * 1000 - %s) / 60000)::int FROM finding_current"
        " WHERE rule = 'DEVICE_OFFLINE' AND scope = %s ORDER BY event_time",
        (START_MS, device_id),
    ).fetchall()
    return [(event, severity, minute) for event, severity, minute in rows]


def no_difference(conn):
    compared = compare(conn, timezone=TIMEZONE)
    assert compared.waiting == ()
    assert compared.differences == ()


def test_silence_is_raised_at_its_three_time_outs_and_cleared_by_the_return(conn, writer, sweeper):
    ingest(conn, writer, [report(0, ignition=True, speed_kmh=30.0)])
    assert sweep(conn, sweeper, 29).marks == 0
    assert offline(conn) == []
    assert sweep(conn, sweeper, 31).marks == 1
    assert offline(conn) == [("raise", "P3", 30)]
    sweep(conn, sweeper, DAY + 1)
    sweep(conn, sweeper, 3 * DAY + 1)
    assert offline(conn) == [("raise", "P3", 30), ("raise", "P2", DAY), ("raise", "P1", 3 * DAY)]
    ingest(conn, writer, [report(3 * DAY + 60), report(3 * DAY + 61)])
    assert [row[0] for row in offline(conn)].count("clear") == 1
    no_difference(conn)


def test_a_sweep_that_was_away_for_days_raises_all_time_outs_at_their_own_times(conn, writer, sweeper):
    ingest(conn, writer, [report(0, ignition=True, speed_kmh=30.0)])
    assert sweep(conn, sweeper, 4 * DAY).marks == 3
    assert [minute for _, _, minute in offline(conn)] == [30, DAY, 3 * DAY]
    no_difference(conn)


def test_a_device_that_goes_on_reporting_costs_one_look_a_time_out_and_is_never_marked(conn, writer, sweeper):
    looks = 0
    for minute in range(0, 240, 2):
        ingest(conn, writer, [report(minute, ignition=True, speed_kmh=30.0)])
        outcome = sweep(conn, sweeper, minute)
        looks += outcome.looked
        assert outcome.marks == 0
    assert 5 <= looks <= 8
    assert offline(conn) == []


def test_while_ingest_is_down_nobody_is_judged(conn, writer, sweeper):
    ingest(conn, writer, [report(0)])
    set_watermark(conn, START_MS + 2 * MINUTE)
    for hours in (1, 5, 100):
        assert sweeper.run_once(conn, now=from_ms(START_MS + hours * HOUR * MINUTE)) == SweepOutcome()
    ingest(conn, writer, [report(minute) for minute in range(10, 6 * HOUR, 10)])
    sweep(conn, sweeper, 6 * HOUR)
    assert offline(conn) == []


def test_a_watermark_ahead_of_the_clock_judges_nothing_early(conn, writer, sweeper):
    ingest(conn, writer, [report(0)])
    assert sweep(conn, sweeper, 10 * HOUR, now=10).marks == 0


def test_without_a_watermark_of_every_slot_nothing_is_due(conn, writer):
    ingest(conn, writer, [report(0)])
    two = Sweeper(timezone=TIMEZONE, slots=2)
    assert sweep(conn, two, 10 * HOUR) == SweepOutcome()
    set_watermark(conn, START_MS + 10 * HOUR * MINUTE, slot=1)
    assert sweep(conn, two, 10 * HOUR).marks > 0


def test_each_device_is_judged_by_the_watermark_of_its_own_slot(conn, writer):
    register(conn, "v2", ("odd",), shard=1)
    ingest(conn, writer, [report(0), report(0, vehicle_id="v2", device_id="odd")])
    two = Sweeper(timezone=TIMEZONE, slots=2)
    set_watermark(conn, START_MS + 5 * MINUTE, slot=1)
    sweep(conn, two, 10 * HOUR)
    assert offline(conn) == [("raise", "P3", 30)]
    assert offline(conn, "odd") == []


def test_a_vehicle_that_waits_for_a_replay_is_left_until_it_is_done(conn, writer, sweeper):
    ingest(conn, writer, [report(0), report(20)])
    ingest(conn, writer, [report(10)])
    assert sweep(conn, sweeper, 10 * HOUR) == SweepOutcome()
    serve_replays(conn, Replayer(timezone=TIMEZONE))
    assert sweep(conn, sweeper, 10 * HOUR).marks > 0
    assert offline(conn) == [("raise", "P3", 50)]
    no_difference(conn)


def test_a_vehicle_that_somebody_is_writing_is_left_for_the_next_sweep(conn, database_url, writer, sweeper):
    ingest(conn, writer, [report(0)])
    with connect(database_url, name="holder") as holder:
        state_store.lock(holder, ["v1"])
        assert sweep(conn, sweeper, 10 * HOUR) == SweepOutcome()
        holder.rollback()
    assert sweep(conn, sweeper, 10 * HOUR).marks > 0


def test_silence_of_one_device_is_found_while_the_other_goes_on(conn, writer, sweeper):
    register(conn, "v2", ("a", "b"))
    both = {"vehicle_id": "v2", "ignition": True, "speed_kmh": 30.0}
    ingest(conn, writer, [report(0, device_id="a", **both), report(0, device_id="b", **both)])
    ingest(conn, writer, [report(minute, device_id="b", **both) for minute in range(1, 45)])
    outcome = sweep(conn, sweeper, 44)
    assert (outcome.marks, outcome.late_marks) == (1, 1)
    assert serve_replays(conn, Replayer(timezone=TIMEZONE))[0].added == 1
    assert offline(conn, "a") == [("raise", "P3", 30)]
    assert offline(conn, "b") == []
    assert sweep(conn, sweeper, 44).marks == 0
    no_difference(conn)


def test_a_late_report_inside_the_silence_disproves_it(conn, writer, sweeper):
    ingest(conn, writer, [report(0)])
    sweep(conn, sweeper, 31)
    assert offline(conn) == [("raise", "P3", 30)]
    ingest(conn, writer, [report(12)])
    serve_replays(conn, Replayer(timezone=TIMEZONE))
    assert offline(conn) == []
    sweep(conn, sweeper, 43)
    assert offline(conn) == [("raise", "P3", 42)]
    no_difference(conn)


def test_a_stay_is_raised_by_passed_time_alone_at_exactly_its_minute(conn, writer, sweeper):
    add_fence(conn, "shop", LAT, LON)
    for minute in (0, 2, 4, 6):
        ingest(conn, writer, [report(minute)])
    sweep(conn, sweeper, 16)
    row = conn.execute(
        "SELECT (extract(epoch FROM event_time) * 1000)::bigint, evidence FROM finding_current WHERE rule = 'RISK_PLACE_VISIT'"
    ).fetchone()
    assert row[0] == START_MS + 15 * MINUTE
    assert row[1]["assumed_still_there"] is True
    no_difference(conn)


def test_a_vehicle_that_drove_on_loses_its_dwell_deadline(conn, writer, sweeper):
    add_fence(conn, "shop", LAT, LON)
    for minute in (0, 2, 4, 6):
        ingest(conn, writer, [report(minute)])
    armed = conn.execute("SELECT count(*) FROM deadline WHERE kind = 'dwell'").fetchone()
    assert armed == (1,)
    ingest(
        conn,
        writer,
        [report(m, lat=LAT + 0.02 * (m - 6), speed_kmh=50.0, ignition=True) for m in range(8, 15)],
    )
    assert sweep(conn, sweeper, 16).marks == 0
    assert conn.execute("SELECT count(*) FROM deadline WHERE kind = 'dwell'").fetchone() == (0,)


def test_the_writer_arms_an_earlier_deadline_after_the_sweeper_moved_it(conn, writer, sweeper):
    ingest(conn, writer, [report(0), report(1, mode="sleep", next_report_s=86_400)])
    sweep(conn, sweeper, 40)
    far = conn.execute("SELECT due_at FROM deadline WHERE kind = 'silence'").fetchone()[0]
    assert far > from_ms(START_MS + 20 * HOUR * MINUTE)
    ingest(conn, writer, [report(50, mode="normal", ignition=True, speed_kmh=30.0)])
    near = conn.execute("SELECT due_at FROM deadline WHERE kind = 'silence'").fetchone()[0]
    assert near == from_ms(START_MS + 80 * MINUTE)


def test_a_fleet_is_swept_in_batches_until_nothing_is_due(conn, writer, sweeper):
    for n in range(250):
        register(conn, f"f{n}", (f"fd{n}",))
    ingest(conn, writer, [report(0, vehicle_id=f"f{n}", device_id=f"fd{n}") for n in range(250)])
    marks = [sweep(conn, sweeper, 31).marks for _ in range(3)]
    assert sum(marks) == 250
    assert marks[-1] == 0
    assert conn.execute("SELECT count(*) FROM finding WHERE rule = 'DEVICE_OFFLINE'").fetchone() == (250,)


def test_an_unreadable_state_is_sent_to_the_replayer(conn, writer, sweeper):
    ingest(conn, writer, [report(0)])
    conn.execute("UPDATE vehicle_state SET state = 'not a state'")
    assert sweep(conn, sweeper, 31) == SweepOutcome()
    serve_replays(conn, Replayer(timezone=TIMEZONE))
    sweep(conn, sweeper, 31)
    assert offline(conn) == [("raise", "P3", 30)]


def deaf(conn, start, end, slot=0):
    conn.execute(
        "INSERT INTO slot_outage (slot, deaf_from, deaf_until) VALUES (%s, %s, %s)",
        (slot, from_ms(START_MS + start * MINUTE), from_ms(START_MS + end * MINUTE)),
    )


@pytest.mark.parametrize(
    ("start", "end", "due"),
    [(10, 200, 230), (25, 26, 56), (29, 31, 61), (-100, -10, 30), (31, 90, 30)],
    ids=["most of it", "a minute", "over the time-out", "before it", "after it"],
)
def test_silence_while_we_were_deaf_does_not_count_and_half_an_hour_is_given_after(
    conn, writer, sweeper, start, end, due
):
    ingest(conn, writer, [report(0, ignition=True, speed_kmh=30.0)])
    deaf(conn, start, end)
    assert sweep(conn, sweeper, due - 1).marks == 0
    assert sweep(conn, sweeper, due + 1).marks == 1
    assert offline(conn) == [("raise", "P3", due)]
    no_difference(conn)


def test_the_deaf_time_of_another_slot_changes_nothing(conn, writer):
    ingest(conn, writer, [report(0, ignition=True, speed_kmh=30.0)])
    deaf(conn, 5, 500, slot=1)
    set_watermark(conn, START_MS + 31 * MINUTE, slot=1)
    assert sweep(conn, Sweeper(timezone=TIMEZONE, slots=2), 31).marks == 1


def test_sweeping_comes_to_rest_when_nothing_new_is_due(conn, writer, sweeper):
    add_fence(conn, "shop", LAT, LON)
    register(conn, "v2", ("a", "b"))
    for minute in range(0, 60, 2):
        ingest(conn, writer, [report(minute, vehicle_id="v2", device_id="b"), report(minute)])
    ingest(conn, writer, [report(3, vehicle_id="v2", device_id="a", alarms=("removal",))])
    replayer = Replayer(timezone=TIMEZONE)
    outcome = SweepOutcome(looked=1)
    for _ in range(12):
        serve_replays(conn, replayer)
        outcome = sweep(conn, sweeper, 9 * DAY)
        if not outcome.looked:
            break
    assert outcome == SweepOutcome()
    no_difference(conn)


def test_a_probe_that_was_away_for_minutes_of_the_machines_time_leaves_a_deaf_stretch(conn):
    def probe(minute, wall_s):
        conn.execute(
            "INSERT INTO time_watermark AS mark (slot, received_until, probe_sent_at) VALUES (0, %s, %s)"
            " ON CONFLICT (slot) DO UPDATE SET received_until = EXCLUDED.received_until,"
            " probe_sent_at = EXCLUDED.probe_sent_at",
            (from_ms(START_MS + minute * MINUTE), from_ms(START_MS + wall_s * 1000)),
        )

    for minute, wall_s in ((0, 0), (10, 1), (20, 61), (400, 300), (401, 301)):
        probe(minute, wall_s)
    assert outages(conn) == {0: [(START_MS + 20 * MINUTE, START_MS + 400 * MINUTE)]}
