"""A sale tells whether the estimates were right: domain event lot.hammered becomes outcomes."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from core.errors import Rejected
from valuation.estimates.store import estimate_on
from valuation.service.store import insert_outcome

if TYPE_CHECKING:
    from core.db.pool import Connection
    from core.events.store import DomainEvent

DAYS_BEFORE = (0, 30, 90)
REACH = timedelta(days=31)
"""An estimate older than this on the day asked for says nothing about that day."""
_TYPES: dict[str, type] = {
    "case_id": str, "vehicle_id": str, "price_minor": int, "currency": str, "hammered_at": str,
}  # fmt: skip


def record_disposal(conn: Connection, event: DomainEvent) -> None:
    """Store what was thought 0, 30 and 90 days before beside what was paid; again is nothing.

    Raises:
        Rejected: the event lacks a field, or has one of another type.
    """
    told = _told(event)
    hammered_at = datetime.fromisoformat(told["hammered_at"])
    before = []
    for days in DAYS_BEFORE:
        day = (hammered_at - timedelta(days=days)).date()
        before.append((days, estimate_on(conn, told["vehicle_id"], told["currency"], day - REACH, day)))
    insert_outcome(
        conn, lot_id=event.subject, case_id=told["case_id"], vehicle_id=told["vehicle_id"],
        hammered_at=hammered_at, price_minor=told["price_minor"], currency=told["currency"], before=before,
    )  # fmt: skip


def _told(event: DomainEvent) -> dict[str, Any]:
    for name, kind in _TYPES.items():
        value = event.payload.get(name)
        if type(value) is not kind:
            raise Rejected(
                f"Event {event.kind} {event.subject}: expected {name} as {kind.__name__}, was {value!r}",
                code="bad_event",
            )
    return event.payload
