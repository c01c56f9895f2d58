"""The inbox: alerts, and what people do with them; the stream of changes is in streams.py."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from fastapi import APIRouter, Query
from pydantic import BaseModel, ConfigDict, Field

from alerts import actions, store
from alerts.domain import Alert
from api.auth import Asker
from api.board import store as board
from api.board.models import AlertOut
from api.deps import Conn, Who
from api.paging import Cursor, Limit, Page, cut, decode_moment_and_id
from core.db.pool import Connection

router = APIRouter(prefix="/alerts", tags=["alerts"])

Reason = Annotated[str, Field(min_length=1, max_length=2000, pattern=r"^[^\x00]*$")]
FalseAlarmReason = Literal[
    "gps_drift", "loose_wiring", "authorised_service", "device_fault", "known_place", "test", "other"
]  # fmt: skip


class Body(BaseModel):
    """``version`` (of the alert as it was shown) makes the action fail if somebody was faster."""

    model_config = ConfigDict(extra="forbid")

    version: Annotated[int, Field(ge=1, le=2**31 - 1)] | None = None


class Assignment(Body):
    """Who takes it."""

    assignee: Annotated[str, Field(min_length=1, max_length=200, pattern=r"^[^\x00]*$")]


class Resolution(Body):
    """How it was handled."""

    reason: Reason


class Dismissal(Body):
    """Why it was no risk."""

    reason: FalseAlarmReason
    note: Annotated[str, Field(max_length=2000, pattern=r"^[^\x00]*$")] = ""


class AlertEventOut(BaseModel):
    """One line of an alert's history."""

    seq: int
    at: datetime
    kind: str
    actor: str
    reason: str | None
    facts: dict[str, Any]


@router.get("")
def list_alerts(
    conn: Conn,
    asker: Who,
    vehicle_id: Annotated[str | None, Query(max_length=64)] = None,
    live: Annotated[bool, Query(description="Only alerts that are not resolved.")] = False,
    severity: Annotated[list[Literal["P1", "P2", "P3", "P4"]] | None, Query(max_length=4)] = None,
    rule: Annotated[str | None, Query(max_length=64)] = None,
    limit: Limit = 100,
    cursor: Cursor = None,
) -> Page[AlertOut]:
    """List the alerts of your branches, last seen first."""
    rows = store.list_alerts(
        conn, org_ids=asker.org_ids, vehicle_id=vehicle_id, live_only=live, severities=severity, rule=rule,
        before=decode_moment_and_id(cursor), limit=limit + 1,
    )  # fmt: skip
    shown, following = cut(rows, limit, lambda alert: (alert.last_seen.isoformat(), str(alert.alert_id)))
    return Page(items=with_plates(conn, shown), next=following)


@router.get("/{alert_id}")
def get_alert(alert_id: UUID, conn: Conn, asker: Who) -> AlertOut:
    """Return one alert with its evidence."""
    return _out(conn, visible_alert(conn, asker, alert_id))


@router.get("/{alert_id}/history")
def alert_history(alert_id: UUID, conn: Conn, asker: Who) -> Page[AlertEventOut]:
    """Return what happened to an alert and who did it, oldest first."""
    visible_alert(conn, asker, alert_id)
    return Page(
        items=[
            AlertEventOut(
                seq=event.seq,
                at=event.at,
                kind=event.kind,
                actor=event.actor,
                reason=event.reason,
                facts=event.facts,
            )
            for event in store.history(conn, alert_id)
        ]
    )


@router.post("/{alert_id}/acknowledge")
def acknowledge_alert(alert_id: UUID, conn: Conn, asker: Who, body: Body | None = None) -> AlertOut:
    """Say that you have seen it; twice is once."""
    visible_alert(conn, asker, alert_id)
    return _out(
        conn, actions.acknowledge(conn, alert_id, asker.actor, version=body.version if body else None)
    )


@router.post("/{alert_id}/assign")
def assign_alert(alert_id: UUID, body: Assignment, conn: Conn, asker: Who) -> AlertOut:
    """Give it to somebody."""
    visible_alert(conn, asker, alert_id)
    return _out(conn, actions.assign(conn, alert_id, asker.actor, body.assignee, version=body.version))


@router.post("/{alert_id}/resolve")
def resolve_alert(alert_id: UUID, body: Resolution, conn: Conn, asker: Who) -> AlertOut:
    """Close it as handled."""
    visible_alert(conn, asker, alert_id)
    return _out(conn, actions.resolve(conn, alert_id, asker.actor, body.reason, version=body.version))


@router.post("/{alert_id}/false-alarm")
def dismiss_alert(alert_id: UUID, body: Dismissal, conn: Conn, asker: Who) -> AlertOut:
    """Close it as false; the reason tunes the rules."""
    visible_alert(conn, asker, alert_id)
    return _out(
        conn, actions.false_alarm(conn, alert_id, asker.actor, body.reason, body.note, version=body.version)
    )


def visible_alert(conn: Connection, asker: Asker, alert_id: UUID) -> Alert:
    """Return an alert of the asker's branches.

    Raises:
        NotFound: there is none, or it belongs to another branch.
    """
    alert = store.get_alert(conn, alert_id)
    asker.require_org(alert.org_id, f"an alert with id {alert_id}")
    return alert


def with_plates(conn: Connection, alerts: list[Alert]) -> list[AlertOut]:
    """Add the plates, which is what people call a vehicle by."""
    plates = board.plates(conn, {alert.vehicle_id for alert in alerts if alert.vehicle_id})
    return [AlertOut.of(alert, plates.get(alert.vehicle_id or "")) for alert in alerts]


def _out(conn: Connection, alert: Alert) -> AlertOut:
    return with_plates(conn, [alert])[0]
