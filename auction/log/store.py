"""SQL of the public log."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from psycopg.rows import class_row
from psycopg.types.json import Jsonb

from auction.domain import LotEvent

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime
    from uuid import UUID

    from core.db.pool import Connection

_COLUMNS = "lot_id, seq, kind, actor_code, arrived_at, decided_at, payload, body, prev_hash, hash"


def call_append_event(
    conn: Connection,
    lot_id: UUID,
    kind: str,
    payload: Mapping[str, Any],
    actor_code: str,
    arrived_at: datetime | None,
) -> LotEvent:
    """Append a link to the lot's chain; takes the row lock of the lot if the caller does not hold it."""
    with conn.cursor(row_factory=class_row(LotEvent)) as cursor:
        event = cursor.execute(
            f"SELECT {_COLUMNS} FROM auction_append_event(%s, %s, %s, %s, %s)",
            (lot_id, kind, Jsonb(dict(payload)), actor_code, arrived_at),
        ).fetchone()
    assert event is not None  # noqa: S101 - the function raises or answers with one row
    return event


def events_after(conn: Connection, lot_id: UUID, seq: int = 0, limit: int = 1000) -> list[LotEvent]:
    """Return the events of a lot after ``seq``, in order. Per lot there are no gaps, so nothing is missed."""
    with conn.cursor(row_factory=class_row(LotEvent)) as cursor:
        return cursor.execute(
            f"SELECT {_COLUMNS} FROM lot_event WHERE lot_id = %s AND seq > %s ORDER BY seq LIMIT %s",
            (lot_id, seq, limit),
        ).fetchall()


def changed_lots(conn: Connection, seen: Mapping[UUID, int]) -> dict[UUID, int]:
    """Return, of these lots, the ones whose newest seq is above the one seen, with the newest seq.

    One index look-up per lot: what the poller of the streams asks every few dozen milliseconds.
    """
    rows = conn.execute(
        "SELECT l.lot_id, l.seq FROM unnest(%s::uuid[], %s::bigint[]) AS s(lot_id, seq)"
        " JOIN lot l ON l.lot_id = s.lot_id AND l.seq > s.seq",
        (list(seen), list(seen.values())),
    ).fetchall()
    return {row[0]: row[1] for row in rows}
