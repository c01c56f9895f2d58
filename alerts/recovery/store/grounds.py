"""SQL of legal grounds."""

from __future__ import annotations

from typing import TYPE_CHECKING

from psycopg.rows import class_row

from alerts.recovery.domain import Ground
from core.errors import NotFound

if TYPE_CHECKING:
    from datetime import date
    from uuid import UUID

    from core.db.pool import Connection

_COLUMNS = ", ".join(Ground.__dataclass_fields__)


def insert_ground(
    conn: Connection, case_id: UUID, kind: str, reference: str, document_sha256: bytes | None, dated: date,
    recorded_by: str,
) -> Ground:  # fmt: skip
    """Record a ground."""
    with conn.cursor(row_factory=class_row(Ground)) as cursor:
        ground = cursor.execute(
            "INSERT INTO recovery_ground (case_id, kind, reference, document_sha256, dated, recorded_by)"
            f" VALUES (%s, %s, %s, %s, %s, %s) RETURNING {_COLUMNS}",
            (case_id, kind, reference, document_sha256, dated, recorded_by),
        ).fetchone()
    assert ground is not None  # noqa: S101 - RETURNING of an insert has a row
    return ground


def get_ground(conn: Connection, case_id: UUID, ground_id: int) -> Ground:
    """Return a ground of a case; the caller holds the case's row.

    Raises:
        NotFound: the case has none with this id.
    """
    with conn.cursor(row_factory=class_row(Ground)) as cursor:
        ground = cursor.execute(
            f"SELECT {_COLUMNS} FROM recovery_ground WHERE case_id = %s AND ground_id = %s",
            (case_id, ground_id),
        ).fetchone()
    if ground is None:
        raise NotFound(
            f"Expected a ground of this case, there is none with id {ground_id}", code="ground_not_found"
        )
    return ground


def list_grounds(conn: Connection, case_id: UUID) -> list[Ground]:
    """Return the grounds of a case, oldest first, decided and withdrawn ones too."""
    with conn.cursor(row_factory=class_row(Ground)) as cursor:
        return cursor.execute(
            f"SELECT {_COLUMNS} FROM recovery_ground WHERE case_id = %s ORDER BY ground_id", (case_id,)
        ).fetchall()


def decide_ground(conn: Connection, ground_id: int, *, approve: bool, by: str, note: str) -> None:
    """Approve or refuse a ground."""
    verb = "approved" if approve else "refused"
    conn.execute(
        f"UPDATE recovery_ground SET {verb}_by = %s, {verb}_at = clock_timestamp(), decision_note = %s"
        " WHERE ground_id = %s",
        (by, note, ground_id),
    )


def withdraw_ground(conn: Connection, ground_id: int, *, by: str, why: str) -> None:
    """End a ground."""
    conn.execute(
        "UPDATE recovery_ground SET withdrawn_by = %s, withdrawn_at = clock_timestamp(), withdrawn_why = %s"
        " WHERE ground_id = %s",
        (by, why, ground_id),
    )
