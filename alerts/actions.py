"""What people do with alerts. Each action is one transition, written to the history with actor and reason."""

from __future__ import annotations

from typing import TYPE_CHECKING

from alerts import store
from alerts.domain import Alert, WorkState
from core.errors import Conflict, Rejected

if TYPE_CHECKING:
    from uuid import UUID

    from core.db.pool import Connection

FALSE_ALARM_REASONS = (
    "gps_drift",
    "loose_wiring",
    "authorised_service",
    "device_fault",
    "known_place",
    "test",
    "other",
)


def acknowledge(conn: Connection, alert_id: UUID, actor: str, *, version: int | None = None) -> Alert:
    """Say that a person has seen it; doing so twice changes nothing."""
    alert = _open_alert(conn, alert_id, version)
    if alert.work_state is not WorkState.NEW:
        return alert
    alert = store.update_alert(conn, alert_id, {"work_state": WorkState.ACKNOWLEDGED.value})
    store.remember(conn, alert_id, "acknowledged", actor)
    return alert


def assign(
    conn: Connection, alert_id: UUID, actor: str, assignee: str, *, version: int | None = None
) -> Alert:
    """Give it to a person; work is then in progress."""
    alert = _open_alert(conn, alert_id, version)
    if not assignee.strip():
        raise Rejected("Expected a person to assign the alert to, was empty", code="assignee_missing")
    alert = store.update_alert(
        conn, alert_id, {"assignee": assignee.strip(), "work_state": WorkState.IN_PROGRESS.value}
    )
    store.remember(conn, alert_id, "assigned", actor, facts={"assignee": assignee.strip()})
    return alert


def resolve(
    conn: Connection, alert_id: UUID, actor: str, reason: str, *, version: int | None = None
) -> Alert:
    """Close it as handled; the reason is kept."""
    return _close(conn, alert_id, actor, WorkState.RESOLVED, reason, version)


def false_alarm(
    conn: Connection, alert_id: UUID, actor: str, reason: str, note: str = "", *, version: int | None = None
) -> Alert:
    """Close it as false, with a reason of the list, so that rules can be tuned by it.

    Raises:
        Rejected: the reason is not one of ``FALSE_ALARM_REASONS``, or ``other`` has no note.
    """
    if reason not in FALSE_ALARM_REASONS:
        raise Rejected(
            f"Expected one of {', '.join(FALSE_ALARM_REASONS)}, was {reason!r}", code="unknown_reason"
        )
    if reason == "other" and not note.strip():
        raise Rejected("Expected a note with the reason 'other', was empty", code="note_missing")
    text = f"{reason}: {note.strip()}" if note.strip() else reason
    return _close(conn, alert_id, actor, WorkState.FALSE_ALARM, text, version)


def _close(
    conn: Connection, alert_id: UUID, actor: str, state: WorkState, reason: str, version: int | None
) -> Alert:
    if not reason.strip():
        raise Rejected("Expected a reason for closing the alert, was empty", code="reason_missing")
    _open_alert(conn, alert_id, version)
    alert = store.update_alert(conn, alert_id, {"work_state": state.value, "resolution": reason.strip()})
    store.remember(conn, alert_id, state.value, actor, reason=reason.strip())
    return alert


def _open_alert(conn: Connection, alert_id: UUID, version: int | None) -> Alert:
    """Lock the alert; refuse when it is closed or has changed since the asker saw it."""
    alert = store.get_alert(conn, alert_id, lock=True)
    if version is not None and alert.version != version:
        raise Conflict(
            f"Expected version {version} of the alert, was {alert.version}: somebody changed it meanwhile",
            code="version_changed",
            version=alert.version,
        )
    if alert.closed:
        raise Conflict(f"Expected an open alert, was {alert.work_state}", code="alert_closed")
    return alert
