"""Replays: what they mend, and what happens when the world moves while they compute."""

from __future__ import annotations

import threading

import msgspec
import pytest
from psycopg.pq import TransactionStatus

from alerts.findings import store as finding_store
from core.db.pool import connect
from core.domain.finding import Finding, Severity
from core.errors import Unavailable
from geofence import replayer as replayer_module
from geofence.domain import BEGINNING_MS
from geofence.engine import advance
from geofence.moving import DAY_MS, DENSE_MS, thinned
from geofence.oracle import compare
from geofence.replayer import Replayer
from geofence.store import replays as replay_store
from geofence.store import states as state_store
from geofence.store.states import Checkpoint
from geofence.writer import RuleOutcome, RuleWriter
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
    store_reports,
)


@pytest.fixture
def conn(database_url):
    with connect(database_url, name="test-replayer", autocommit=True) as connection:
        register(connection, "v1")
        yield connection


@pytest.fixture
def writer():
    return RuleWriter(timezone=TIMEZONE)


@pytest.fixture
def replayer():
    return Replayer(timezone=TIMEZONE)


def drive(minutes):
    return [report(m, lat=LAT + 0.004 * m, speed_kmh=30.0, ignition=True) for m in minutes]


def log(conn, rule):
    rows = conn.execute(
        "SELECT event, status, late_by_s FROM finding WHERE rule = %s ORDER BY seq", (rule,)
    ).fetchall()
    return rows


def no_difference(conn):
    compared = compare(conn, timezone=TIMEZONE)
    assert compared.waiting == ()
    assert compared.differences == ()
    return compared


def test_a_stay_that_late_fixes_disprove_is_retracted_not_deleted(conn, writer, replayer):
    add_fence(conn, "shop", LAT, LON)
    for minute in [0, 2, 4, 6, 30, 32, 34]:
        ingest(conn, writer, [report(minute)])
    assert ("raise", "added", 0) in log(conn, "RISK_PLACE_VISIT")
    away = [report(m, lat=LAT + 0.05, speed_kmh=40.0) for m in (10, 12, 14, 16, 18, 20)]
    ingest(conn, writer, away)
    outcomes = serve_replays(conn, replayer)
    assert outcomes[0].retracted > 0
    assert ("raise", "retracted", 0) in log(conn, "RISK_PLACE_VISIT")
    no_difference(conn)


def test_what_late_data_adds_says_how_late_it_is(conn, writer, replayer):
    add_fence(conn, "shop", LAT, LON)
    ingest(conn, writer, drive([5, 100]))
    ingest(conn, writer, [report(m) for m in range(30, 60, 2)])
    serve_replays(conn, replayer, START_MS + 180 * MINUTE)
    raised = next(row for row in log(conn, "RISK_PLACE_VISIT") if row[0] == "raise")
    assert raised == ("raise", "added", (180 - 45) * 60)
    no_difference(conn)


def test_nothing_waits_means_nothing_to_do(conn, replayer):
    assert replayer.run_once(conn, now_ms=START_MS) is None


def test_a_replay_after_an_engine_failure_judges_what_was_only_stored(conn, writer, replayer):
    with conn.transaction():
        store_reports(conn, [report(m) for m in range(10)])
        replay_store.queue(conn, {"v1": START_MS}, "engine_failure")
    outcome = replayer.run_once(conn, now_ms=START_MS)
    assert outcome is not None
    assert outcome.done
    assert outcome.added > 0
    assert no_difference(conn).findings > 0
    assert ingest(conn, writer, [report(11)]).judged == 1


def test_live_reports_that_come_while_a_replay_computes_are_folded_in(
    conn, writer, replayer, monkeypatch, database_url
):
    ingest(conn, writer, drive([0, 10]))
    ingest(conn, writer, drive([5]))
    seen = meanwhile(monkeypatch, conn, database_url, writer, [drive([12, 13])])
    outcome = replayer.run_once(conn, now_ms=START_MS)
    assert outcome is not None
    assert outcome.done
    assert (True, 2) in seen, "the two that came while it computed, under the lock"
    ingest(conn, writer, drive([15]))
    no_difference(conn)


def meanwhile(monkeypatch, conn, database_url, writer, batches):
    """Let other connections store batches while a replay computes (not while it holds the lock)."""
    compute, waiting, seen = replayer_module.Replay.judge, iter(batches), []

    def judge(self, inputs):
        compute(self, inputs)
        locked = conn.info.transaction_status is TransactionStatus.INTRANS
        seen.append((locked, len(inputs)))
        batch = None if locked else next(waiting, None)
        if batch:
            with connect(database_url, name="meanwhile", autocommit=True) as mine:
                ingest(mine, writer, batch)

    monkeypatch.setattr(replayer_module.Replay, "judge", judge)
    return seen


def test_a_request_that_grew_while_it_was_served_is_served_again(
    conn, writer, replayer, monkeypatch, database_url
):
    ingest(conn, writer, drive([0, 10]))
    ingest(conn, writer, drive([5]))
    meanwhile(monkeypatch, conn, database_url, writer, [drive([7])])
    outcomes = serve_replays(conn, replayer)
    assert [outcome.done for outcome in outcomes] == [False, True]
    no_difference(conn)


def test_a_request_that_grew_backwards_is_begun_anew(conn, writer, replayer, monkeypatch, database_url):
    ingest(conn, writer, drive([0]))
    ingest(conn, writer, drive([10]))
    ingest(conn, writer, drive([5]))
    seen = meanwhile(monkeypatch, conn, database_url, writer, [drive([2])])
    outcomes = serve_replays(conn, replayer)
    assert [outcome.done for outcome in outcomes] == [True]
    assert len([count for locked, count in seen if not locked]) == 2
    no_difference(conn)


def test_many_new_reports_are_judged_before_the_lock_not_under_it(
    conn, writer, replayer, monkeypatch, database_url
):
    monkeypatch.setattr(replayer_module, "FOLD_LIMIT", 3)
    ingest(conn, writer, drive([0, 10]))
    ingest(conn, writer, drive([5]))
    seen = meanwhile(monkeypatch, conn, database_url, writer, [drive(range(11, 31))])
    outcome = replayer.run_once(conn, now_ms=START_MS)
    assert outcome is not None
    assert outcome.done
    assert (False, 20) in seen
    assert all(count <= 3 for locked, count in seen if locked)
    no_difference(conn)


def test_computing_holds_no_lock_that_the_live_writer_would_wait_for(
    conn, writer, replayer, monkeypatch, database_url
):
    ingest(conn, writer, drive([0, 10]))
    ingest(conn, writer, drive([5]))
    compute = replayer_module.Replay.judge
    judged: list[RuleOutcome] = []

    def judge(self, inputs):
        if not judged:
            with connect(database_url, name="live", autocommit=True) as mine:
                mine.execute("SET lock_timeout = '2s'")
                judged.append(ingest(mine, writer, drive([4, 11])))
        compute(self, inputs)

    monkeypatch.setattr(replayer_module.Replay, "judge", judge)
    serve_replays(conn, replayer)
    assert (judged[0].judged, judged[0].late) == (1, 1)
    no_difference(conn)


def test_a_failing_replay_is_kept_with_its_error_and_tried_later(conn, writer, replayer, monkeypatch):
    ingest(conn, writer, drive([0, 10]))
    ingest(conn, writer, drive([5]))

    def fail(*_, **__):
        raise ArithmeticError("a fault of ours")

    monkeypatch.setattr(replayer_module, "advance", fail)
    with pytest.raises(ArithmeticError):
        replayer.run_once(conn, now_ms=START_MS)
    monkeypatch.undo()
    assert replayer.run_once(conn, now_ms=START_MS) is None, "not at once"
    row = conn.execute(
        "SELECT attempts, last_error, leased_until > clock_timestamp() FROM replay_request"
    ).fetchone()
    assert row == (1, "ArithmeticError: a fault of ours", True)
    conn.execute("UPDATE replay_request SET leased_until = '-infinity'")
    serve_replays(conn, replayer)
    no_difference(conn)


def test_a_vehicle_that_changes_at_every_try_is_given_up_for_a_while(
    conn, writer, replayer, monkeypatch, database_url
):
    monkeypatch.setattr(replayer_module, "FOLD_LIMIT", 0)
    ingest(conn, writer, drive([0, 10]))
    ingest(conn, writer, drive([5]))
    meanwhile(monkeypatch, conn, database_url, writer, (drive([minute]) for minute in range(11, 100)))
    with pytest.raises(Unavailable, match="v1"):
        replayer.run_once(conn, now_ms=START_MS)
    assert replay_store.pending(conn, ["v1"]) == {"v1"}


def test_a_dead_replayer_loses_its_request_when_the_lease_ends(conn, writer, replayer):
    ingest(conn, writer, drive([0, 10]))
    ingest(conn, writer, drive([5]))
    assert replay_store.lease_next(conn, 0.3) is not None
    assert replay_store.lease_next(conn, 60) is None
    taken = None
    for _ in range(500):
        taken = replay_store.lease_next(conn, 60)
        if taken:
            break
        conn.execute("SELECT pg_sleep(0.02)")
    assert taken is not None
    assert taken.attempts == 2


def test_two_replayers_on_one_vehicle_end_in_the_same_findings(conn, writer, database_url):
    ingest(conn, writer, drive([0, 60]))
    ingest(conn, writer, drive(range(1, 59, 2)))
    failures = []

    def work():
        try:
            with connect(database_url, name="replayer", autocommit=True) as mine:
                replayer = Replayer(timezone=TIMEZONE)
                request = replay_store.read(mine, "v1")
                if request is not None:
                    replayer._replay(mine, request, START_MS)
        except Exception as exc:
            failures.append(exc)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    no_difference(conn)
    assert conn.execute("SELECT count(*) FROM finding WHERE revision > 3").fetchone() == (0,)


def test_a_replay_starts_at_the_checkpoint_before_the_late_report(conn, writer, replayer, monkeypatch):
    for minute in range(0, 240, 2):
        ingest(conn, writer, drive([minute]))
    ingest(conn, writer, drive([201]))
    counts: list[int] = []
    monkeypatch.setattr(replayer_module, "advance", counted_inputs(advance, counts))
    serve_replays(conn, replayer)
    assert 20 <= sum(counts) <= 30, "inputs since at most 15 minutes before, not all 121"
    no_difference(conn)


def counted_inputs(function, counts):
    def wrapper(state, inputs, facts, context, **options):
        counts.append(len(inputs))
        return function(state, inputs, facts, context, **options)

    return wrapper


def test_checkpoints_that_lack_the_late_report_are_replaced(conn, writer, replayer):
    for minute in range(0, 120, 2):
        ingest(conn, writer, drive([minute]))
    before = dict(conn.execute("SELECT through, state FROM vehicle_checkpoint").fetchall())
    ingest(conn, writer, [report(31, lat=LAT - 0.2, alarms=("removal",))])
    serve_replays(conn, replayer, START_MS + 120 * MINUTE)
    after = dict(conn.execute("SELECT through, state FROM vehicle_checkpoint").fetchall())
    changed = [through for through in before.keys() & after.keys() if before[through] != after[through]]
    late = [through for through in after if through.timestamp() * 1000 >= START_MS + 31 * MINUTE]
    assert late, "the replayed part has checkpoints of its own"
    assert all(through.timestamp() * 1000 >= START_MS + 31 * MINUTE for through in changed)
    assert all(before.get(through) != after[through] for through in late)


def test_a_finding_that_lost_its_growth_falls_back_to_what_it_was(conn, writer, replayer):
    ingest(conn, writer, [report(m, alarms=("jamming",) if m == 5 else ()) for m in range(60)])
    grown = next(
        f
        for f in finding_store.current(conn, "v1", START_MS, START_MS + DAY_MS)
        if f.rule == "GNSS_JAMMING" and f.event == "raise"
    )
    worse = msgspec.structs.replace(
        grown, severity=Severity.P1, detected_ms=START_MS + 50 * MINUTE, evidence={"grown": True}
    )
    finding_store.append(conn, [worse], now_ms=START_MS)
    ingest(conn, writer, [report(45.5)])
    serve_replays(conn, replayer)
    no_difference(conn)
    rows = conn.execute(
        "SELECT status FROM finding WHERE finding_id = %s ORDER BY revision", (grown.id,)
    ).fetchall()
    assert rows == [("added",), ("corrected",), ("corrected",)]


def test_findings_of_other_rooms_are_left_alone(conn, writer, replayer):
    breach = Finding(
        vehicle_id="v1",
        rule="LTV_BREACH",
        event="raise",
        event_ms=START_MS + MINUTE,
        detected_ms=START_MS + MINUTE,
        episode_ms=START_MS,
    )
    finding_store.append(conn, [breach], now_ms=START_MS)
    ingest(conn, writer, drive([0, 10]))
    ingest(conn, writer, drive([5]))
    serve_replays(conn, replayer)
    assert breach in finding_store.current(conn, "v1", START_MS, START_MS + DAY_MS)


def test_a_long_history_is_read_in_windows(conn, writer, replayer, monkeypatch):
    ingest(conn, writer, [report(m) for m in range(0, 6 * 24 * 60, 240)])
    conn.execute("DELETE FROM vehicle_checkpoint")
    replay_store.queue(conn, {"v1": BEGINNING_MS}, "fence_changed")
    counts: list[int] = []
    monkeypatch.setattr(replayer_module, "advance", counted_inputs(advance, counts))
    serve_replays(conn, replayer)
    assert sum(counts) == 36
    assert len(counts) == 3, "six days, two at a time"
    no_difference(conn)


def test_old_checkpoints_are_thinned_to_one_a_day_and_then_dropped(conn):
    now_ms = START_MS + 200 * DAY_MS
    hours = range(0, 200 * 24, 6)
    state_store.add_checkpoints(conn, (Checkpoint("v1", START_MS + h * 3_600_000, b"x") for h in hours))
    state_store.thin_checkpoints(conn, now_ms - DENSE_MS, now_ms - 100 * DAY_MS)
    ages_h = [
        (now_ms - row[0].timestamp() * 1000) / 3_600_000
        for row in conn.execute("SELECT through FROM vehicle_checkpoint ORDER BY 1").fetchall()
    ]
    assert len([age for age in ages_h if age <= 72]) == 12
    assert 95 <= len([age for age in ages_h if age > 72]) <= 98
    assert max(ages_h) <= 100 * 24


def test_a_replay_of_old_history_keeps_one_checkpoint_a_day():
    now_ms = START_MS + 20 * DAY_MS
    dense = [Checkpoint("v1", START_MS + n * 900_000, b"x") for n in range(20 * 96)]
    kept = thinned(dense, now_ms)
    assert len([p for p in kept if p.through_ms >= now_ms - DENSE_MS]) == 3 * 96
    assert 17 <= len([p for p in kept if p.through_ms < now_ms - DENSE_MS]) <= 18
