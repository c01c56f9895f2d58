"""SQL of holds."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, NamedTuple

from core.errors import NotFound, Rejected

if TYPE_CHECKING:
    from core.db.pool import Connection


class Hold(NamedTuple):
    """A hold that has not been released; None: without a beginning, without an end."""

    hold_id: int
    vehicle_id: str
    held_from: datetime | None
    held_until: datetime | None
    reason: str
    placed_by: str
    placed_at: datetime


def place(
    conn: Connection,
    vehicle_id: str,
    reason: str,
    by: str,
    *,
    start: datetime | None = None,
    end: datetime | None = None,
) -> int:
    """Hold a vehicle's reports of [start, end) and return the hold's number.

    Raises:
        Rejected: no reason, or a period that ends before it begins.
    """
    if not reason.strip():
        raise Rejected("Expected a reason for the hold, was empty", code="reason_missing")
    if start is not None and end is not None and start >= end:
        raise Rejected(
            f"Expected a period that begins before it ends, was {start} to {end}", code="bad_period"
        )
    row = conn.execute(
        "INSERT INTO telemetry_hold (vehicle_id, held_from, held_until, reason, placed_by) VALUES"
        " (%s, coalesce(%s, '-infinity'::timestamptz), coalesce(%s, 'infinity'::timestamptz), %s, %s)"
        " RETURNING hold_id",
        (vehicle_id, start, end, reason, by),
    ).fetchone()
    assert row is not None  # noqa: S101 - RETURNING of an insert has a row
    return int(row[0])


def release(conn: Connection, hold_id: int, by: str) -> None:
    """End a hold.

    Raises:
        NotFound: there is no such hold in force.
    """
    if not conn.execute(
        "UPDATE telemetry_hold SET released_at = clock_timestamp(), released_by = %s"
        " WHERE hold_id = %s AND released_at IS NULL",
        (by, hold_id),
    ).rowcount:
        raise NotFound(f"Expected a hold in force, there is none with number {hold_id}")


def in_force(conn: Connection, vehicle_id: str | None = None) -> list[Hold]:
    """Return the holds in force, of one vehicle or all."""
    rows = conn.execute(
        "SELECT hold_id, vehicle_id, nullif(held_from, '-infinity'), nullif(held_until, 'infinity'), reason,"
        " placed_by, placed_at FROM telemetry_hold"
        " WHERE released_at IS NULL AND (%(vehicle)s::text IS NULL OR vehicle_id = %(vehicle)s)"
        " ORDER BY hold_id",
        {"vehicle": vehicle_id},
    ).fetchall()
    return [Hold(*row) for row in rows]
