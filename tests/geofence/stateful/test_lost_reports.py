"""What was found on reports that were dropped or erased since stands: their absence disproves nothing."""

from datetime import timedelta

import pytest

from core.clock import from_ms
from core.db.pool import connect
from core.telemetry.storage.erasing.domain import Scope
from core.telemetry.storage.erasing.erase import erase, record
from core.telemetry.storage.periods import Periods
from core.telemetry.storage.retention.retain import retain
from geofence.forgetting.forget import forget
from geofence.replayer import Replayer
from geofence.store import replays as replay_store
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
)

DAY = timedelta(days=1)
DAY_MINUTES = 1_440


@pytest.fixture
def conn(database_url):
    with connect(database_url, name="test-replayer", autocommit=True) as connection:
        register(connection, "v1")
        add_fence(connection, "shop", LAT, LON)
        yield connection


def visit(conn, writer, first_minute):
    """A stay in a risk place and a drive away from it."""
    ingest(conn, writer, [report(first_minute + m) for m in range(0, 60, 3)])
    ingest(
        conn, writer, [report(first_minute + 60 + m, lat=LAT + 0.01 * m, speed_kmh=40.0) for m in range(20)]
    )


def standing(conn, before_minute):
    return conn.execute(
        "SELECT count(*) FILTER (WHERE status <> 'retracted'), count(*) FILTER (WHERE status = 'retracted')"
        " FROM (SELECT DISTINCT ON (finding_id) * FROM finding ORDER BY finding_id, revision DESC) AS newest"
        " WHERE event_time < %s",
        (from_ms(START_MS + before_minute * MINUTE),),
    ).fetchone()


def judge_everything_again(conn):
    conn.execute("DELETE FROM vehicle_checkpoint")
    with conn.transaction():
        replay_store.queue(conn, {"v1": START_MS}, "binding_changed")
    return serve_replays(conn, Replayer(timezone=TIMEZONE), START_MS + 10 * DAY_MINUTES * MINUTE)


def test_a_replay_retracts_nothing_before_the_oldest_day_that_is_kept(conn):
    writer = RuleWriter(timezone=TIMEZONE)
    visit(conn, writer, 0)
    visit(conn, writer, 5 * DAY_MINUTES)
    before = standing(conn, DAY_MINUTES)
    assert before[0] > 3
    periods = Periods(100 * DAY, 400 * DAY, 731 * DAY)
    assert retain(conn, periods, from_ms(START_MS) + 103 * DAY).dropped == 1
    assert judge_everything_again(conn)
    assert standing(conn, DAY_MINUTES) == before


def test_a_replay_retracts_nothing_in_a_period_that_was_erased(conn):
    writer = RuleWriter(timezone=TIMEZONE)
    visit(conn, writer, 0)
    visit(conn, writer, 2 * DAY_MINUTES)
    before = standing(conn, DAY_MINUTES)
    scope = Scope("device", "d1", from_ms(START_MS), from_ms(START_MS) + DAY)
    with conn.transaction():
        done = erase(conn, scope, "asked", "anna")
        forget(conn, done.vehicles, scope.start, scope.end)
        record(conn, scope, "asked", "anna", done.counts, done.vehicles)
    assert judge_everything_again(conn)
    assert standing(conn, DAY_MINUTES) == before


def test_reports_that_vanish_without_a_record_take_their_findings_along(conn):
    """What the two tests above would see if the replayer did not ask what is lost."""
    visit(conn, RuleWriter(timezone=TIMEZONE), 0)
    visit(conn, RuleWriter(timezone=TIMEZONE), 2 * DAY_MINUTES)
    before = standing(conn, DAY_MINUTES)
    conn.execute("DELETE FROM telemetry WHERE t < %s", (from_ms(START_MS) + DAY,))
    assert judge_everything_again(conn)
    assert standing(conn, DAY_MINUTES) == (0, before[0])
