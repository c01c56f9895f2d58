"""Erasing a device's or a vehicle's period: looked at first, whole, recorded; on whichever store runs."""

from datetime import timedelta

import psycopg
import pytest

from core.db.pool import connect
from core.errors import Conflict, Rejected
from core.telemetry.storage.chunks.columnstore import settle_chunks
from core.telemetry.storage.erasing.domain import Scope
from core.telemetry.storage.erasing.erase import erase, preview, record, settle_rollups
from core.telemetry.storage.holds import store as holds
from core.telemetry.storage.periods import Periods
from core.telemetry.storage.retention.retain import retain
from core.telemetry.storage.rollups.refresh import refresh_rollups
from tests.core.telemetry.test_rollups import agree
from tests.fix_storage import NOW, drive, put, report

DAY, HOUR = timedelta(days=1), timedelta(hours=1)


@pytest.fixture
def conn(database_url):
    with connect(database_url, name="test", autocommit=True) as connection:
        yield connection


def carry_out(conn, scope, **more):
    with conn.transaction():
        done = erase(conn, scope, "asked to", "anna", **more)
        record(conn, scope, "asked to", "anna", done.counts, done.vehicles)
    settle_rollups(conn, scope, NOW)
    return done


def settled_fleet(conn):
    """Two devices over three weeks, most of it added up and, on TimescaleDB, compressed."""
    reports = [
        one
        for device_id in ("d1", "d2")
        for age in (20, 19, 12, 1)
        for one in drive(device_id, NOW - age * DAY, 300, first_seq=age * 1_000)
    ]
    put(conn, reports)
    refresh_rollups(conn, NOW)
    settle_chunks(conn, NOW)
    return reports


def outside(scope, reports):
    start, end = scope.start.timestamp() * 1000, scope.end.timestamp() * 1000
    return [
        one
        for one in reports
        if getattr(one, f"{scope.subject}_id") != scope.subject_id or not start <= one.t_ms < end
    ]


@pytest.mark.parametrize("subject", ["device", "vehicle"])
def test_a_period_is_erased_from_reports_and_rollups_and_nothing_else_is(conn, subject):
    reports = settled_fleet(conn)
    subject_id = "d1" if subject == "device" else "car-d1"
    begin = NOW - 20 * DAY + timedelta(minutes=35)
    scope = Scope(subject, subject_id, begin, NOW - 12 * DAY + timedelta(minutes=50))
    looked = preview(conn, scope)
    done = carry_out(conn, scope)
    left = outside(scope, reports)
    assert looked.counts["telemetry"] == done.counts["telemetry"] == len(reports) - len(left) == 630
    assert (done.devices, done.vehicles) == (["d1"], ["car-d1"])
    agree(conn, left)
    refresh_rollups(conn, NOW)
    agree(conn, left)


def test_looking_first_changes_nothing(conn):
    reports = settled_fleet(conn)
    preview(conn, Scope("device", "d1", NOW - 90 * DAY, NOW))
    agree(conn, reports)
    assert conn.execute("SELECT count(*) FROM telemetry_erasure").fetchone() == (0,)


def test_the_latest_position_goes_back_to_the_newest_fix_that_is_left(conn):
    put(conn, [report("d1", 1, NOW - 3 * DAY, lat=30.0), report("d1", 2, NOW - DAY, lat=40.0)])
    carry_out(conn, Scope("device", "d1", NOW - 2 * DAY, NOW))
    assert conn.execute("SELECT seq, lat FROM latest_position").fetchall() == [(1, 30.0)]
    carry_out(conn, Scope("vehicle", "car-d1", NOW - 9 * DAY, NOW))
    assert conn.execute("SELECT count(*) FROM latest_position").fetchone() == (0,)


def test_undated_reports_and_copies_under_a_released_hold_are_erased_too(conn):
    put(conn, [report("d1", 1, NOW - 5 * DAY)], undated="clock_past")
    put(conn, [report("d1", 2, NOW - 120 * DAY)])
    hold = holds.place(conn, "car-d1", "court", "anna")
    refresh_rollups(conn, NOW)
    retain(conn, Periods(100 * DAY, 400 * DAY, 731 * DAY), NOW)
    holds.release(conn, hold, "anna")
    done = carry_out(conn, Scope("vehicle", "car-d1", NOW - 200 * DAY, NOW))
    assert (done.counts["telemetry_undated"], done.counts["telemetry_held"]) == (1, 1)
    assert (done.counts["telemetry_hourly"], done.counts["telemetry_daily"]) == (1, 1)
    assert conn.execute("SELECT count(*) FROM telemetry_daily").fetchone() == (0,)


def test_a_hold_also_keeps_the_hours_whose_reports_were_dropped_before_it_was_placed(conn):
    put(conn, drive("d1", NOW - 120 * DAY, 300))
    put(conn, drive("d1", NOW - 5 * DAY, 300, first_seq=900))
    refresh_rollups(conn, NOW)
    retain(conn, Periods(100 * DAY, 400 * DAY, 731 * DAY), NOW)
    scope = Scope("device", "d1", NOW - 121 * DAY, NOW - 119 * DAY)
    hold = holds.place(conn, "car-d1", "court", "anna")
    looked = preview(conn, scope)
    assert (looked.holds, looked.vehicles, looked.counts["telemetry"]) == ([hold], ["car-d1"], 0)
    with pytest.raises(Conflict, match="hold"):
        carry_out(conn, scope)
    holds.release(conn, hold, "anna")
    assert carry_out(conn, scope).vehicles == ["car-d1"]


def test_hours_whose_reports_were_dropped_are_erased_whole(conn):
    put(conn, drive("d1", NOW - 120 * DAY, 300))
    put(conn, drive("d1", NOW - 5 * DAY, 300, first_seq=900))
    refresh_rollups(conn, NOW)
    retain(conn, Periods(100 * DAY, 400 * DAY, 731 * DAY), NOW)
    carry_out(conn, Scope("device", "d1", NOW - 120 * DAY + HOUR, NOW - 119 * DAY))
    old = conn.execute("SELECT bucket FROM telemetry_hourly WHERE bucket < %s", (NOW - 50 * DAY,)).fetchall()
    assert old == [((NOW - 120 * DAY).replace(minute=0),)]
    assert conn.execute("SELECT count(*) FROM telemetry_daily").fetchone() == (1,)


def test_what_a_hold_or_an_open_recovery_needs_is_not_erased(conn):
    reports = drive("d1", NOW - 5 * DAY, 10)
    put(conn, reports)
    scope = Scope("device", "d1", NOW - 6 * DAY, NOW)
    number = holds.place(conn, "car-d1", "court", "anna", start=NOW - 5 * DAY, end=NOW - 4 * DAY)
    assert preview(conn, scope).holds == [number]
    with pytest.raises(Conflict, match="hold") as refused:
        carry_out(conn, scope)
    assert refused.value.code == "under_hold"
    carry_out(conn, Scope("device", "d1", NOW - 4 * DAY, NOW))
    holds.release(conn, number, "anna")
    with pytest.raises(Conflict, match="recovery"):
        carry_out(conn, scope, open_vehicles=["car-d1"])
    agree(conn, reports)
    carry_out(conn, scope, open_vehicles=["car-d2"])
    agree(conn, [])


def test_an_erasure_leaves_a_row_that_cannot_be_changed_and_an_event(conn):
    put(conn, drive("d1", NOW - 5 * DAY, 10))
    carry_out(conn, Scope("device", "d1", NOW - 6 * DAY, NOW))
    [(subject, reason, by, counts)] = conn.execute(
        "SELECT subject_id, reason, erased_by, counts FROM telemetry_erasure"
    ).fetchall()
    assert (subject, reason, by, counts["telemetry"]) == ("d1", "asked to", "anna", 10)
    assert conn.execute("SELECT kind, subject FROM domain_event").fetchall() == [("telemetry.erased", "d1")]
    for attempt in ("UPDATE telemetry_erasure SET reason = 'x'", "DELETE FROM telemetry_erasure"):
        with pytest.raises(psycopg.errors.RaiseException, match="append-only"):
            conn.execute(attempt)


def test_an_erasure_needs_a_reason_and_a_period(conn):
    with pytest.raises(Rejected, match="begins before"):
        Scope("device", "d1", NOW, NOW)
    with pytest.raises(Rejected, match="reason"):
        erase(conn, Scope("device", "d1", NOW - DAY, NOW), "  ", "anna")
