"""Findings become alerts: one live alert per risk, whatever order they come in."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from datetime import timedelta

import pytest

from alerts import actions, store
from alerts.domain import Alert, Condition, WorkState
from alerts.findings.store import retract
from alerts.intake import reprioritise, take_findings
from core.db.pool import Connection, connect
from core.domain.finding import Finding, Severity
from tests.alerts.findings_builder import START, FixedClock, finding, pledged_vehicle, write


@pytest.fixture
def conn(database_url: str) -> Iterator[Connection]:
    with connect(database_url, name="test-alerts", autocommit=True) as connection:
        yield connection


def take(conn: Connection, minutes: float = 0, channels: tuple[str, ...] = ()) -> int:
    return take_findings(conn, FixedClock(START + timedelta(minutes=minutes)), channels)


def only_alert(conn: Connection) -> Alert:
    alerts = store.list_alerts(conn)
    assert len(alerts) == 1
    return alerts[0]


def kinds(conn: Connection, alert: Alert) -> list[str]:
    return [event.kind for event in store.history(conn, alert.alert_id)]


def test_a_raise_opens_one_alert_and_its_repeats_only_count(conn: Connection) -> None:
    pledged_vehicle(conn, "V1")
    write(conn, finding("raise", 0), finding("raise", 5), finding("raise", 9))
    assert take(conn) == 3
    alert = only_alert(conn)
    assert (alert.count, alert.condition, alert.work_state) == (3, Condition.ACTIVE, WorkState.NEW)
    assert alert.first_seen == START
    assert alert.last_seen == START + timedelta(minutes=9)
    assert kinds(conn, alert) == ["raised", "repeated", "repeated"]


def test_stays_trips_and_crossings_stay_facts_and_make_no_alert(conn: Connection) -> None:
    write(conn, *(finding("enter", 0, rule=rule, severity=None) for rule in ("FENCE", "STAY", "TRIP")))
    assert take(conn) == 3
    assert store.list_alerts(conn) == []


def test_the_inbox_shows_the_worst_first_however_many_lesser_ones_are_newer(conn: Connection) -> None:
    pledged_vehicle(conn, "V1")
    write(
        conn,
        finding("raise", 0, severity=Severity.P1),
        *(finding("raise", minute, scope=str(minute), severity=Severity.P3) for minute in range(1, 6)),
    )
    take(conn)
    shown = store.inbox(conn, None, ["P1", "P2", "P3", "P4"], 3)
    assert [alert.severity for alert in shown] == [Severity.P1, Severity.P3, Severity.P3]
    assert shown[1].last_seen > shown[2].last_seen
    assert store.count_live(conn, None) == {"P1": 1, "P3": 5}


def test_reading_the_log_twice_changes_nothing(conn: Connection) -> None:
    pledged_vehicle(conn, "V1")
    write(conn, finding("raise", 0))
    assert [take(conn), take(conn)] == [1, 0]
    assert only_alert(conn).count == 1


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
def test_any_order_of_raise_clear_and_raise_ends_in_the_same_condition(
    conn: Connection, order: tuple[int, ...]
) -> None:
    pledged_vehicle(conn, "V1")
    story: list[Finding] = [finding("raise", 0), finding("clear", 10, episode=0), finding("raise", 20)]
    first_raise = next(index for index in order if story[index].event == "raise")
    for index in (first_raise, *(index for index in order if index != first_raise)):
        write(conn, story[index])
        take(conn, 20)
    alert = only_alert(conn)
    assert alert.condition is Condition.ACTIVE
    assert (alert.first_seen, alert.last_seen) == (START, START + timedelta(minutes=20))


def test_a_clear_ends_the_condition_and_leaves_the_work_to_people(conn: Connection) -> None:
    pledged_vehicle(conn, "V1")
    write(conn, finding("raise", 0), finding("clear", 10, episode=0))
    take(conn)
    alert = only_alert(conn)
    assert (alert.condition, alert.work_state) == (Condition.CLEARED, WorkState.NEW)
    assert alert.cleared_at == START + timedelta(minutes=10)


def test_a_risk_that_returns_a_day_after_it_cleared_is_a_new_alert(conn: Connection) -> None:
    pledged_vehicle(conn, "V1")
    write(conn, finding("raise", 0), finding("clear", 10, episode=0), finding("raise", 10 + 24 * 60 + 1))
    take(conn)
    new, old = store.list_alerts(conn)
    assert (new.work_state, new.count) == (WorkState.NEW, 1)
    assert (old.work_state, old.resolution) == (WorkState.RESOLVED, "cleared_by_itself")


def test_a_retracted_finding_closes_the_alert_that_nobody_took(conn: Connection) -> None:
    pledged_vehicle(conn, "V1")
    raised = finding("raise", 0)
    write(conn, raised)
    take(conn)
    with conn.transaction():
        retract(conn, [raised.id], "disproved")
    take(conn)
    alert = only_alert(conn)
    assert (alert.work_state, alert.resolution) == (WorkState.RESOLVED, "disproved_by_late_data")
    assert kinds(conn, alert) == ["raised", "retracted", "resolved"]


def test_a_finding_that_comes_back_after_its_retraction_is_in_the_inbox_again(conn: Connection) -> None:
    pledged_vehicle(conn, "V1")
    raised = finding("raise", 0)
    write(conn, raised)
    take(conn)
    with conn.transaction():
        retract(conn, [raised.id], "disproved")
    take(conn)
    write(conn, raised)
    take(conn)
    live = store.list_alerts(conn, live_only=True)
    assert [(alert.condition, alert.work_state) for alert in live] == [(Condition.ACTIVE, WorkState.NEW)]


def test_a_retraction_never_takes_work_out_of_the_hands_of_a_person(conn: Connection) -> None:
    pledged_vehicle(conn, "V1")
    raised = finding("raise", 0)
    write(conn, raised)
    take(conn)
    actions.acknowledge(conn, only_alert(conn).alert_id, "li.wei")
    with conn.transaction():
        retract(conn, [raised.id], "disproved")
    take(conn)
    alert = only_alert(conn)
    assert (alert.condition, alert.work_state) == (Condition.CLEARED, WorkState.ACKNOWLEDGED)


def test_a_corrected_finding_updates_the_evidence_in_place(conn: Connection) -> None:
    pledged_vehicle(conn, "V1")
    write(conn, finding("raise", 0, evidence={"distance_m": 210}))
    take(conn)
    write(conn, finding("raise", 0, evidence={"distance_m": 480}))
    take(conn)
    alert = only_alert(conn)
    assert (alert.count, alert.evidence["distance_m"]) == (1, 480)
    assert kinds(conn, alert) == ["raised", "corrected"]


@pytest.mark.parametrize(
    ("rule", "days", "status", "expected"),
    [
        ("DEVICE_OFFLINE", 0, "active", Severity.P3),
        ("DEVICE_OFFLINE", 1, "overdue", Severity.P2),
        ("GNSS_JAMMING", 1, "overdue", Severity.P3),
        ("GNSS_JAMMING", 30, "overdue", Severity.P2),
        ("DEVICE_OFFLINE", 45, "overdue", Severity.P2),
        ("DEVICE_OFFLINE", 0, "paid", Severity.P4),
    ],
)
def test_what_is_owed_moves_the_severity_of_the_same_event(
    conn: Connection, rule: str, days: int, status: str, expected: Severity
) -> None:
    pledged_vehicle(conn, "V1", days_past_due=days, status=status)
    write(conn, finding("raise", 0, rule=rule, severity=Severity.P3))
    take(conn)
    assert only_alert(conn).severity is expected


def test_a_loan_that_falls_overdue_raises_the_alerts_that_are_open(conn: Connection) -> None:
    pledged_vehicle(conn, "V1")
    write(conn, finding("raise", 0, severity=Severity.P2))
    take(conn)
    conn.execute("UPDATE loan SET days_past_due = 40, status = 'overdue'")
    reprioritise(conn, "V1")
    alert = only_alert(conn)
    assert (alert.severity, alert.severity_why) == (Severity.P1, ["days_past_due_40"])
    assert kinds(conn, alert)[-1] == "severity_changed"


def test_an_event_that_is_over_or_old_asks_for_no_message(conn: Connection) -> None:
    pledged_vehicle(conn, "V1")
    pledged_vehicle(conn, "V2")
    write(conn, finding("raise", 0), finding("raise", 0, vehicle_id="V2"), now=START)
    take(conn, minutes=16, channels=("hook",))
    assert conn.execute("SELECT count(*) FROM delivery").fetchone() == (0,)


def test_a_fresh_raise_asks_for_one_message_per_channel_and_its_repeats_for_none(conn: Connection) -> None:
    pledged_vehicle(conn, "V1")
    write(conn, finding("raise", 0), finding("raise", 1))
    take(conn, minutes=1, channels=("hook", "mail"))
    assert conn.execute("SELECT channel FROM delivery ORDER BY channel").fetchall() == [("hook",), ("mail",)]


def test_a_transaction_that_commits_late_is_not_skipped_by_the_reader(
    conn: Connection, database_url: str
) -> None:
    pledged_vehicle(conn, "V1")
    pledged_vehicle(conn, "V2")
    with connect(database_url, name="slow-writer") as slow:
        from alerts.findings.store import append

        append(slow, [finding("raise", 0)], now_ms=0)
        write(conn, finding("raise", 0, vehicle_id="V2"))
        take(conn)
        slow.commit()
    take(conn)
    assert {alert.vehicle_id for alert in store.list_alerts(conn)} == {"V1", "V2"}
