"""Append to a lot's chain, in the transaction of what the event tells."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from auction.log import store

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime
    from uuid import UUID

    from auction.domain import LotEvent
    from core.db.pool import Connection

SYSTEM = "system"
"""``actor_code`` of what no person did. Staff is ``staff``: the public log names nobody."""
STAFF = "staff"


def append_event(
    conn: Connection,
    lot_id: UUID,
    kind: str,
    payload: Mapping[str, Any],
    actor_code: str = SYSTEM,
    arrived_at: datetime | None = None,
) -> LotEvent:
    """Append one event; everything in ``payload`` is public for ever. Takes or has the lot's row lock."""
    return store.call_append_event(conn, lot_id, kind, payload, actor_code, arrived_at)
