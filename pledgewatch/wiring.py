"""Which domain event concerns which room. Rooms never import each other sideways; this file does."""

from __future__ import annotations

from typing import TYPE_CHECKING

from alerts.intake import reprioritise

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from core.db.pool import Connection
    from core.events.store import DomainEvent

    Handler = Callable[[Connection, DomainEvent], None]


def loan_moves_severity(conn: Connection, event: DomainEvent) -> None:
    """A loan that is overdue, paid or extended changes how urgent its vehicle's alerts are."""
    vehicle_id = event.payload.get("vehicle_id")
    if isinstance(vehicle_id, str):
        reprioritise(conn, vehicle_id)


CONSUMERS: Mapping[str, Mapping[str, Handler]] = {
    "severity": {"loan.changed": loan_moves_severity},
}
"""Consumer name -> event kind -> handler. Each consumer keeps its own place in the log."""
