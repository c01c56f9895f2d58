"""What is too old goes, whole days at a time; what a hold needs stays. On whichever store the tests run."""

from datetime import timedelta

import pytest

from core.clock import from_ms
from core.db.pool import connect
from core.db.timescale import detect
from core.errors import Misconfigured, NotFound, Rejected
from core.policy.pack import load_pack
from core.telemetry import store as reading
from core.telemetry.storage.holds import store as holds
from core.telemetry.storage.periods import LATEST_ARRIVAL, Periods, periods_of
from core.telemetry.storage.retention.retain import retain
from core.telemetry.storage.retention.store import keep_held
from core.telemetry.storage.rollups.refresh import refresh_rollups
from tests.fix_storage import NOW, drive, put, report

DAY = timedelta(days=1)
PERIODS = Periods(raw=100 * DAY, hourly=150 * DAY, daily=400 * DAY)


@pytest.fixture
def conn(database_url):
    with connect(database_url, name="test", autocommit=True) as connection:
        yield connection


def one(conn, statement, *values):
    return conn.execute(statement, values).fetchone()[0]


def days_left(conn):
    return [day for (day,) in conn.execute("SELECT DISTINCT t::date FROM telemetry ORDER BY 1").fetchall()]


def fill(conn, *ages, device_id="d1"):
    for age in ages:
        put(conn, drive(device_id, NOW - age * DAY, 20, first_seq=age * 100))


def test_old_days_go_and_their_hours_and_days_stay_until_their_own_time(conn):
    fill(conn, 500, 160, 120, 101, 99, 5)
    refresh_rollups(conn, NOW)
    assert retain(conn, PERIODS, NOW).dropped == 4
    assert days_left(conn) == [(NOW - 99 * DAY).date(), (NOW - 5 * DAY).date()]
    hours = one(conn, "SELECT count(DISTINCT bucket::date) FROM telemetry_hourly")
    # TimescaleDB drops rollups by chunks of ten days, plain PostgreSQL to the hour: never too early.
    assert 4 <= hours <= 5
    assert one(conn, "SELECT count(*) FROM telemetry_daily WHERE bucket < %s", NOW - 410 * DAY) == 0
    assert one(conn, "SELECT count(*) FROM telemetry_daily") == 5
    assert one(conn, "SELECT count(*) FROM telemetry_partition") == 2


def test_a_refresh_after_retention_does_not_take_the_old_sums_along(conn):
    fill(conn, 120, 99)
    refresh_rollups(conn, NOW)
    before = conn.execute("SELECT * FROM telemetry_daily ORDER BY bucket").fetchall()
    retain(conn, PERIODS, NOW)
    fill(conn, 98)
    put(conn, [report("d1", 9_999, NOW - 99 * DAY + timedelta(minutes=1))])
    refresh_rollups(conn, NOW)
    after = conn.execute("SELECT * FROM telemetry_daily ORDER BY bucket").fetchall()
    assert after[0] == before[0]
    assert (after[1][3], len(after)) == (before[1][3] + 1, 3)


def test_what_retention_drops_makes_room_for_the_same_day_again(conn):
    """Nothing dated arrives that late, but a cap that forgets a dropped day would refuse it for ever."""
    fill(conn, 120)
    retain(conn, PERIODS, NOW)
    assert put(conn, drive("d1", NOW - 120 * DAY, 3)) == 3


def test_reports_under_a_hold_can_still_be_read_until_it_is_released(conn):
    fill(conn, 120, 5)
    fill(conn, 120, device_id="other")
    number = holds.place(conn, "car-d1", "lawsuit 17", "anna", start=NOW - 121 * DAY, end=NOW - 119 * DAY)
    assert retain(conn, PERIODS, NOW).held == 20
    start, end = NOW - 130 * DAY, NOW
    assert len(reading.track(conn, "car-d1", start, end, 1_000)) == 40
    assert len(reading.track(conn, "car-other", start, end, 1_000)) == 0
    oldest = reading.track(conn, "car-d1", start, end, 3)
    assert [from_ms(fix.t_ms).date() for fix in oldest] == [(NOW - 120 * DAY).date()] * 3
    assert retain(conn, PERIODS, NOW).released == 0
    holds.release(conn, number, "anna")
    assert retain(conn, PERIODS, NOW).released == 20
    assert len(reading.track(conn, "car-d1", start, end, 1_000)) == 20


def test_while_a_day_is_being_dropped_its_held_reports_are_not_told_twice(conn):
    fill(conn, 120)
    assert keep_held(conn, NOW, ["car-d1"]) == 20
    assert len(reading.track(conn, "car-d1", NOW - 130 * DAY, NOW, 1_000)) == 20


def test_reports_of_an_open_recovery_outlive_their_day(conn):
    fill(conn, 120)
    assert retain(conn, PERIODS, NOW, ["car-d1"]).held == 20
    assert retain(conn, PERIODS, NOW, ["car-d1"]).released == 0
    assert retain(conn, PERIODS, NOW).released == 20


def test_undated_reports_go_with_the_days_they_came_in(conn):
    lost_clock = [report("d1", n, NOW - age * DAY) for n, age in enumerate((120, 99))]
    put(conn, lost_clock, undated="clock_past")
    assert retain(conn, PERIODS, NOW).undated == 1
    assert one(conn, "SELECT count(*) FROM telemetry_undated") == 1


def test_a_retention_that_was_interrupted_is_finished_by_the_next(conn):
    if detect(conn).timescaledb:
        pytest.skip("TimescaleDB drops its chunks in one transaction")
    fill(conn, 121, 120, 119)
    day = NOW - 120 * DAY
    conn.execute(f"ALTER TABLE telemetry DETACH PARTITION telemetry_{day:%Y%m%d} CONCURRENTLY")
    assert retain(conn, PERIODS, NOW).dropped == 3
    assert one(conn, "SELECT count(*) FROM pg_class WHERE relname ~ '^telemetry_[0-9]{8}$'") == 0
    assert one(conn, "SELECT count(*) FROM telemetry_partition") == 0


def test_periods_that_could_let_a_dropped_day_come_back_are_refused():
    with pytest.raises(Misconfigured, match="92 days <= reports"):
        Periods(raw=LATEST_ARRIVAL, hourly=400 * DAY, daily=731 * DAY)
    with pytest.raises(Misconfigured):
        Periods(raw=180 * DAY, hourly=100 * DAY, daily=731 * DAY)
    assert periods_of(load_pack("cn-private")) == Periods(180 * DAY, 400 * DAY, 731 * DAY)
    assert load_pack("demo").sources["keep_reports"].basis.startswith("PIPL")


def test_a_hold_needs_a_reason_and_a_period_and_is_released_once(conn):
    with pytest.raises(Rejected, match="reason"):
        holds.place(conn, "car", " ", "anna")
    with pytest.raises(Rejected, match="begins before it ends"):
        holds.place(conn, "car", "why", "anna", start=NOW, end=NOW)
    number = holds.place(conn, "car", "why", "anna")
    assert [(hold.held_from, hold.held_until) for hold in holds.in_force(conn, "car")] == [(None, None)]
    holds.release(conn, number, "ben")
    assert holds.in_force(conn) == []
    with pytest.raises(NotFound):
        holds.release(conn, number, "ben")
