"""A state in its row may lack the last minutes: whoever reads it judges what was stored since."""

from __future__ import annotations

import pytest

import geofence.catching_up
from core.clock import from_ms
from core.db.pool import connect
from geofence.oracle import compare
from geofence.replayer import Replayer
from geofence.state import from_bytes
from geofence.store import states as state_store
from geofence.sweeper import Sweeper
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
    undated,
)


@pytest.fixture
def conn(database_url):
    with connect(database_url, name="test-catching-up", autocommit=True) as connection:
        register(connection, "v1", ("d1", "d2"))
        yield connection


@pytest.fixture
def writer():
    return RuleWriter(timezone=TIMEZONE)


def stored_minute(conn):
    """Return the minute of the newest input in the row's state."""
    return (from_bytes(state_store.load(conn, ["v1"])["v1"]).last[0] - START_MS) / MINUTE


def half_minutes(start, end):
    return [report(step / 2, lon=LON + 0.0005 * step) for step in range(2 * start, 2 * end)]


def one_by_one(conn, writer, reports):
    return [ingest(conn, writer, [one]) for one in reports]


def no_difference(conn):
    compared = compare(conn, timezone=TIMEZONE)
    assert (compared.waiting, compared.differences) == ((), ())


def test_a_state_is_saved_about_every_five_minutes_of_event_time_and_not_with_every_batch(conn, writer):
    minutes = []
    for one in half_minutes(0, 20):
        ingest(conn, writer, [one])
        minutes.append(stored_minute(conn))
    assert 4 <= len(set(minutes)) <= 6
    assert all(step / 2 - minute < 5 for step, minute in enumerate(minutes))
    assert conn.execute("SELECT state_version FROM vehicle_state").fetchone() == (41,)
    no_difference(conn)


def test_a_new_writer_goes_on_where_the_reports_end_and_not_where_the_row_does(conn, writer):
    add_fence(conn, "shop", LAT, LON + 0.005)
    one_by_one(conn, writer, half_minutes(0, 4))
    assert stored_minute(conn) < 3.5
    successor = RuleWriter(timezone=TIMEZONE)
    outcome = ingest(conn, successor, [report(3.2), report(4, lon=LON + 0.004)])
    assert (outcome.judged, outcome.late) == (1, 1), "minute 3.2 lies before what the first writer has judged"
    serve_replays(conn, Replayer(timezone=TIMEZONE))
    no_difference(conn)


def test_two_writers_who_share_a_vehicle_come_to_what_one_would_have_found(conn, writer):
    add_fence(conn, "shop", LAT, LON + 0.005)
    other = RuleWriter(timezone=TIMEZONE)
    for step, one in enumerate(half_minutes(0, 12)):
        ingest(conn, writer if step % 3 else other, [one])
    one_by_one(conn, writer, [report(12 + step / 4, device_id="d2", lon=LON + 0.012) for step in range(8)])
    ingest(conn, other, [report(15)])
    assert conn.execute("SELECT count(*) FROM replay_request").fetchone() == (0,)
    no_difference(conn)


def test_a_successor_knows_undated_alarms_that_no_saved_state_has_seen(conn, writer):
    ingest(conn, writer, [report(0)])
    ingest(conn, writer, [undated(2, "removal", seq=7)], START_MS + 2 * MINUTE)
    ingest(conn, RuleWriter(timezone=TIMEZONE), [report(2.5)])
    ingest(conn, RuleWriter(timezone=TIMEZONE), [undated(2.7, "removal", seq=8)], START_MS + 3 * MINUTE)
    no_difference(conn)


def test_the_sweeper_counts_silence_from_the_last_report_and_not_from_the_row(conn, writer):
    one_by_one(conn, writer, [report(step / 4, ignition=True, speed_kmh=30.0) for step in range(20)])
    assert stored_minute(conn) < 4
    sweeper = Sweeper(timezone=TIMEZONE, slots=1)
    for minute in (31, 34):
        set_watermark(conn, START_MS + minute * MINUTE)
        assert sweeper.run_once(conn, now=from_ms(START_MS + minute * MINUTE)).marks == 0
    set_watermark(conn, START_MS + 35 * MINUTE)
    assert sweeper.run_once(conn, now=from_ms(START_MS + 35 * MINUTE)).marks == 1
    no_difference(conn)


def test_the_writer_goes_on_after_the_sweeper_has_judged_a_silence(conn, writer):
    one_by_one(conn, writer, half_minutes(0, 3))
    sweeper = Sweeper(timezone=TIMEZONE, slots=1)
    set_watermark(conn, START_MS + 40 * MINUTE)
    assert sweeper.run_once(conn, now=from_ms(START_MS + 40 * MINUTE)).marks == 1
    ingest(conn, writer, [report(41), report(42)])
    no_difference(conn)


def test_a_vehicle_that_cannot_be_caught_up_is_queued_and_neither_judged_silent_nor_held_back(
    conn, writer, monkeypatch
):
    one_by_one(conn, writer, half_minutes(0, 3))
    before = stored_minute(conn)

    def fails(*_args, **_options):
        raise ValueError("poison")

    with monkeypatch.context() as patched:
        patched.setattr(geofence.catching_up, "advance", fails)
        set_watermark(conn, START_MS + 40 * MINUTE)
        sweeper = Sweeper(timezone=TIMEZONE, slots=1)
        assert sweeper.run_once(conn, now=from_ms(START_MS + 40 * MINUTE)).looked == 0
        assert ingest(conn, RuleWriter(timezone=TIMEZONE), [report(41)]).judged == 1
    [(replay_from, reason)] = conn.execute(
        "SELECT (extract(epoch FROM replay_from) * 1000)::bigint, reason FROM replay_request"
    ).fetchall()
    assert (replay_from, reason) == (START_MS + round(before * MINUTE), "engine_failure")
    serve_replays(conn, Replayer(timezone=TIMEZONE))
    ingest(conn, writer, [report(42)])
    no_difference(conn)
