"""Findings become alerts. One finding changes one alert; the order of findings does not matter.

The condition of an alert is always recomputed from the findings that stand (newest event wins),
so late, corrected and retracted findings end where a timely run would have ended.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from alerts import store
from alerts.delivery.store import enqueue
from alerts.domain import RULE_POLICIES, Alert, Condition, WorkState
from alerts.severity import severity_with_loan
from core.domain.finding import Severity
from core.events.store import LogPosition, lock_position, save_position

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from uuid import UUID

    from core.clock import Clock
    from core.db.pool import Connection

CONSUMER = "alerts"
ACTOR = "rules"
DISPROVED = "disproved_by_late_data"

REOPEN_WINDOW = timedelta(hours=24)
"""A risk that comes back within this goes on in the same alert; later it is a new one."""

PAGE_AT_MOST_AFTER = timedelta(minutes=15)
"""Nobody is paged about an event older than this: it is in the inbox, marked late.
Traccar's notificator.timeThreshold has the same value."""


def take_findings(conn: Connection, clock: Clock, channels: Sequence[str], *, limit: int = 500) -> int:
    """Turn the next findings into alerts, in one transaction with the cursor; returns how many."""
    with conn.transaction():
        position = lock_position(conn, CONSUMER)
        rows = store.read_findings(conn, position, limit)
        for row in rows:
            if row["rule"] in RULE_POLICIES:
                _take(conn, row, clock.now(), channels)
        if rows:
            save_position(conn, CONSUMER, LogPosition(rows[-1]["txid"], rows[-1]["seq"]))
    return len(rows)


def _take(conn: Connection, row: Mapping[str, Any], now: datetime, channels: Sequence[str]) -> None:
    known = store.alert_of_finding(conn, row["finding_id"])
    if row["status"] == "retracted":
        if known is not None:
            store.retract_finding(conn, row["finding_id"])
            _recompute_after_retraction(conn, known, row)
    elif known is not None and not (row["event"] == "raise" and _was_disproved(conn, known)):
        _correct(conn, known, row)
    elif row["event"] == "raise":
        _raise(conn, row, now, channels)
    elif row["event"] == "clear":
        _clear(conn, row)


def _was_disproved(conn: Connection, alert_id: UUID) -> bool:
    """Whether late data closed this alert: a finding that comes back is then raised anew."""
    alert = store.get_alert(conn, alert_id)
    return alert.closed and alert.resolution == DISPROVED


def _raise(conn: Connection, row: Mapping[str, Any], now: datetime, channels: Sequence[str]) -> None:
    live = store.live_alert(conn, row["vehicle_id"], row["rule"], row["scope"])
    if live is not None and _over_for_good(live, row["event_time"]):
        _close_expired(conn, live)
        live = None
    if live is None:
        alert_id = _open(conn, row)
        kind = "raised"
        before = None
    else:
        alert_id = live.alert_id
        kind = "reopened" if live.condition is Condition.CLEARED else "repeated"
        before = live
    store.link_finding(conn, row["finding_id"], alert_id, "raise", row["event_time"])
    alert = _refresh(conn, alert_id, row, count_up=before is not None)
    if kind == "reopened" and alert.condition is Condition.CLEARED:
        kind = "repeated"  # a late raise that lies before the clear: nothing is open again
    seq = store.remember(conn, alert_id, kind, ACTOR, facts=_facts(row, alert))
    worse = before is None or kind == "reopened" or alert.severity < before.severity
    is_news = now - row["event_time"] <= PAGE_AT_MOST_AFTER
    if worse and is_news and alert.condition is Condition.ACTIVE:
        enqueue(conn, alert_id, seq, channels)


def _over_for_good(live: Alert, event_time: datetime) -> bool:
    return (
        live.condition is Condition.CLEARED
        and live.work_state is WorkState.NEW
        and live.cleared_at is not None
        and event_time - live.cleared_at > REOPEN_WINDOW
    )


def _close_expired(conn: Connection, live: Alert) -> None:
    store.update_alert(
        conn, live.alert_id, {"work_state": WorkState.RESOLVED.value, "resolution": "cleared_by_itself"}
    )
    store.remember(conn, live.alert_id, "resolved", ACTOR, reason="cleared_by_itself")


def _open(conn: Connection, row: Mapping[str, Any]) -> UUID:
    policy = RULE_POLICIES[row["rule"]]
    base = Severity(row["severity"] or "P3")
    severity, why = severity_with_loan(base, policy, store.loan_pressure(conn, row["vehicle_id"]))
    return store.insert_alert(
        conn,
        {
            "vehicle_id": row["vehicle_id"],
            "device_id": row["device_id"],
            "org_id": store.org_of_vehicle(conn, row["vehicle_id"]),
            "rule": row["rule"],
            "scope": row["scope"],
            "severity": severity.value,
            "base_severity": base.value,
            "severity_why": why,
            "condition": Condition.ACTIVE.value,
            "latched": policy.latched,
            "first_seen": row["event_time"],
            "last_seen": row["event_time"],
            "late_by_s": row["late_by_s"],
            "lat": row["lat"],
            "lon": row["lon"],
            "evidence": row["evidence"],
        },
    )


def _refresh(conn: Connection, alert_id: UUID, row: Mapping[str, Any], *, count_up: bool) -> Alert:
    """Bring condition, times, severity and evidence of an alert in line with its findings."""
    alert = store.get_alert(conn, alert_id, lock=True)
    standing = store.standing_findings(conn, alert_id)
    raises = [at for event, at in standing if event == "raise"]
    condition, cleared_at = _condition(standing)
    base = min(alert.base_severity, Severity(row["severity"])) if row["severity"] else alert.base_severity
    policy = RULE_POLICIES[alert.rule]
    severity, why = severity_with_loan(base, policy, store.loan_pressure(conn, alert.vehicle_id))
    is_newest = bool(raises) and row["event"] == "raise" and row["event_time"] == raises[-1]
    values: dict[str, Any] = {
        "condition": condition.value,
        "cleared_at": cleared_at,
        "base_severity": base.value,
        "severity": severity.value,
        "severity_why": why,
    }
    if raises:
        values |= {"first_seen": raises[0], "last_seen": standing[-1][1]}
    if count_up:
        values["count"] = alert.count + 1
        if alert.condition is Condition.CLEARED and condition is Condition.ACTIVE:
            values["reopen_count"] = alert.reopen_count + 1
    if is_newest:
        values |= {
            "evidence": row["evidence"],
            "lat": row["lat"],
            "lon": row["lon"],
            "late_by_s": row["late_by_s"],
        }
    return store.update_alert(conn, alert_id, values)


def _condition(standing: Sequence[tuple[str, datetime]]) -> tuple[Condition, datetime | None]:
    if standing and standing[-1][0] == "raise":
        return Condition.ACTIVE, None
    return Condition.CLEARED, standing[-1][1] if standing else None


def _clear(conn: Connection, row: Mapping[str, Any]) -> None:
    live = store.live_alert(conn, row["vehicle_id"], row["rule"], row["scope"])
    if live is None:
        return  # people closed it before the condition was over: nothing left to say
    store.link_finding(conn, row["finding_id"], live.alert_id, "clear", row["event_time"])
    alert = _refresh(conn, live.alert_id, row, count_up=False)
    if alert.condition is Condition.CLEARED:
        store.remember(conn, live.alert_id, "cleared", ACTOR, facts=_facts(row, alert))


def _correct(conn: Connection, alert_id: UUID, row: Mapping[str, Any]) -> None:
    store.link_finding(conn, row["finding_id"], alert_id, row["event"], row["event_time"])
    alert = _refresh(conn, alert_id, row, count_up=False)
    store.remember(conn, alert_id, "corrected", ACTOR, facts=_facts(row, alert))


def _recompute_after_retraction(conn: Connection, alert_id: UUID, row: Mapping[str, Any]) -> None:
    """Late data disproved a finding: an alert left without any is over, and closed if nobody took it."""
    alert = _refresh(conn, alert_id, dict(row) | {"severity": None}, count_up=False)
    store.remember(conn, alert_id, "retracted", ACTOR, reason=DISPROVED, facts=_facts(row, alert))
    still_raised = any(event == "raise" for event, _ in store.standing_findings(conn, alert_id))
    if not still_raised and alert.work_state is WorkState.NEW:
        store.update_alert(conn, alert_id, {"work_state": WorkState.RESOLVED.value, "resolution": DISPROVED})
        store.remember(conn, alert_id, "resolved", ACTOR, reason=DISPROVED)


def _facts(row: Mapping[str, Any], alert: Alert) -> dict[str, Any]:
    return {
        "finding_id": str(row["finding_id"]),
        "event_time": row["event_time"].isoformat(),
        "severity": alert.severity.value,
        "condition": alert.condition.value,
        "late_by_s": row["late_by_s"],
    }


def reprioritise(conn: Connection, vehicle_id: str) -> None:
    """Recompute the severity of a vehicle's live alerts after its loan changed."""
    loan = store.loan_pressure(conn, vehicle_id)
    for alert in store.open_alerts_of_vehicle(conn, vehicle_id):
        severity, why = severity_with_loan(alert.base_severity, RULE_POLICIES[alert.rule], loan)
        if (severity, why) != (alert.severity, alert.severity_why):
            store.update_alert(conn, alert.alert_id, {"severity": severity.value, "severity_why": why})
            store.remember(
                conn,
                alert.alert_id,
                "severity_changed",
                "loan",
                facts={"from": alert.severity.value, "to": severity.value, "why": why},
            )
