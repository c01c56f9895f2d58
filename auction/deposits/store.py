"""SQL of deposit holds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from typing import TYPE_CHECKING
from uuid import UUID

from psycopg.rows import class_row

if TYPE_CHECKING:
    from core.db.pool import Connection


@dataclass(frozen=True, slots=True)
class Hold:
    """A deposit bound to a registration; ``pending`` ends once: voided, posted or forfeited."""

    hold_id: UUID
    registration_id: UUID
    lot_id: UUID
    bidder_id: int
    amount_minor: int
    currency: str
    state: str
    placed_at: datetime
    ended_at: datetime | None


_COLUMNS = ", ".join(column.name for column in fields(Hold))


def insert_hold(
    conn: Connection, registration_id: UUID, lot_id: UUID, bidder_id: int, amount_minor: int, currency: str
) -> Hold | None:
    """Place a hold; None when the registration has, or had, one."""
    with conn.cursor(row_factory=class_row(Hold)) as cursor:
        return cursor.execute(
            "INSERT INTO deposit_hold (registration_id, lot_id, bidder_id, amount_minor, currency)"
            f" VALUES (%s, %s, %s, %s, %s) ON CONFLICT (registration_id) DO NOTHING RETURNING {_COLUMNS}",
            (registration_id, lot_id, bidder_id, amount_minor, currency),
        ).fetchone()


def hold_of(conn: Connection, registration_id: UUID) -> Hold | None:
    """Return the hold of a registration."""
    found = _holds(conn, "WHERE registration_id = %s", (registration_id,))
    return found[0] if found else None


def pending_of_lot(conn: Connection, lot_id: UUID) -> list[Hold]:
    """Return what is still held for a lot."""
    return _holds(conn, "WHERE lot_id = %s AND state = 'pending' ORDER BY hold_id", (lot_id,))


def _holds(conn: Connection, where: str, values: Sequence[object]) -> list[Hold]:
    with conn.cursor(row_factory=class_row(Hold)) as cursor:
        return cursor.execute(f"SELECT {_COLUMNS} FROM deposit_hold {where}", values).fetchall()


def end_hold(conn: Connection, hold_id: UUID, state: str) -> bool:
    """End a pending hold; false when it has ended."""
    done = conn.execute(
        "UPDATE deposit_hold SET state = %s, ended_at = clock_timestamp()"
        " WHERE hold_id = %s AND state = 'pending'",
        (state, hold_id),
    )
    return done.rowcount == 1


def share_lot(conn: Connection, lot_id: UUID) -> tuple[str, int, str]:
    """Return (state, deposit, currency) of a lot and keep it from being decided until we are done."""
    row = conn.execute(
        "SELECT state, deposit_minor, currency FROM lot WHERE lot_id = %s FOR SHARE", (lot_id,)
    ).fetchone()
    assert row is not None  # noqa: S101 - a registration refers to it
    return row[0], row[1], row[2]
