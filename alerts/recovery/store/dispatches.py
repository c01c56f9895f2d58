"""SQL of crews sent out, and of releases."""

from __future__ import annotations

from typing import TYPE_CHECKING

from psycopg.rows import class_row

from alerts.recovery.domain import Dispatch, Release

if TYPE_CHECKING:
    from datetime import datetime
    from uuid import UUID

    from core.db.pool import Connection

_COLUMNS = ", ".join(Dispatch.__dataclass_fields__)
_RELEASE = ", ".join(Release.__dataclass_fields__)


def insert_dispatch(
    conn: Connection, case_id: UUID, ground_id: int, *, crew: str, partner: str,
    visit_from: datetime | None, visit_until: datetime | None, by: str,
) -> None:  # fmt: skip
    """Send a crew."""
    conn.execute(
        "INSERT INTO recovery_dispatch"
        " (case_id, ground_id, crew, partner, visit_from, visit_until, dispatched_by)"
        " VALUES (%s, %s, %s, %s, %s, %s, %s)",
        (case_id, ground_id, crew, partner, visit_from, visit_until, by),
    )


def current_dispatch(conn: Connection, case_id: UUID) -> Dispatch | None:
    """Return the crew that is out."""
    with conn.cursor(row_factory=class_row(Dispatch)) as cursor:
        return cursor.execute(
            f"SELECT {_COLUMNS} FROM recovery_dispatch WHERE case_id = %s AND ended_at IS NULL", (case_id,)
        ).fetchone()


def list_dispatches(conn: Connection, case_id: UUID) -> list[Dispatch]:
    """Return every crew that was sent, oldest first."""
    with conn.cursor(row_factory=class_row(Dispatch)) as cursor:
        return cursor.execute(
            f"SELECT {_COLUMNS} FROM recovery_dispatch WHERE case_id = %s ORDER BY dispatch_id", (case_id,)
        ).fetchall()


def end_dispatch(
    conn: Connection, case_id: UUID, outcome: str, *, by: str, note: str = "",
    odometer_km: float | None = None, place: str = "",
) -> None:  # fmt: skip
    """Note how the visit of the crew that is out ended."""
    conn.execute(
        "UPDATE recovery_dispatch SET ended_at = clock_timestamp(), ended_by = %s, outcome = %s,"
        " outcome_note = %s, odometer_km = %s, place = %s WHERE case_id = %s AND ended_at IS NULL",
        (by, outcome, note, odometer_km, place, case_id),
    )


def insert_release(
    conn: Connection, case_id: UUID, kind: str, reason: str, handed_to: str, released_by: str
) -> None:
    """Record why and to whom the vehicle went."""
    conn.execute(
        "INSERT INTO case_release (case_id, kind, reason, handed_to, released_by)"
        " VALUES (%s, %s, %s, %s, %s)",
        (case_id, kind, reason, handed_to, released_by),
    )


def get_release(conn: Connection, case_id: UUID) -> Release | None:
    """Return the release of a case."""
    with conn.cursor(row_factory=class_row(Release)) as cursor:
        return cursor.execute(
            f"SELECT {_RELEASE} FROM case_release WHERE case_id = %s", (case_id,)
        ).fetchone()
