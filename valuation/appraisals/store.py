"""SQL of manual appraisals."""

from __future__ import annotations

from typing import TYPE_CHECKING

from psycopg.rows import class_row

from valuation.appraisals.domain import Appraisal, Figure

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import date

    from core.db.pool import Connection

_COLUMNS = ", ".join(Appraisal.__dataclass_fields__)


def open_appraisal(conn: Connection, vehicle_id: str) -> Appraisal | None:
    """Return the open question about a vehicle, held until the transaction ends."""
    with conn.cursor(row_factory=class_row(Appraisal)) as cur:
        return cur.execute(
            f"SELECT {_COLUMNS} FROM manual_appraisal WHERE vehicle_id = %s AND state = 'open' FOR UPDATE",
            (vehicle_id,),
        ).fetchone()


def insert_question(
    conn: Connection, vehicle_id: str, because: Sequence[str], actor: str, inspection_id: int | None
) -> Appraisal | None:
    """Write a question; None when one is open already."""
    with conn.cursor(row_factory=class_row(Appraisal)) as cur:
        return cur.execute(
            "INSERT INTO manual_appraisal (vehicle_id, state, asked_because, inspection_id, asked_by)"
            " VALUES (%s, 'open', %s, %s, %s)"
            " ON CONFLICT (vehicle_id) WHERE state = 'open' DO NOTHING"
            f" RETURNING {_COLUMNS}",
            (vehicle_id, list(because), inspection_id, actor),
        ).fetchone()


def add_reasons(conn: Connection, appraisal_id: int, because: Sequence[str]) -> None:
    """Add reasons to an open question, each once."""
    conn.execute(
        "UPDATE manual_appraisal SET asked_because ="
        " ARRAY(SELECT DISTINCT unnest(asked_because || %s::text[]) ORDER BY 1) WHERE appraisal_id = %s",
        (list(because), appraisal_id),
    )


def answer(conn: Connection, appraisal_id: int, figure: Figure, valid_until: date, actor: str) -> Appraisal:
    """Write the answer and close the question."""
    with conn.cursor(row_factory=class_row(Appraisal)) as cur:
        row = cur.execute(
            "UPDATE manual_appraisal SET state = 'closed', value_minor = %s, currency = %s, appraiser = %s,"
            " appraised_on = %s, valid_until = %s, reason = %s, recorded_by = %s,"
            f" closed_at = clock_timestamp() WHERE appraisal_id = %s RETURNING {_COLUMNS}",
            (
                figure.value_minor, figure.currency, figure.appraiser, figure.appraised_on, valid_until,
                figure.reason, actor, appraisal_id,
            ),
        ).fetchone()  # fmt: skip
    assert row is not None  # noqa: S101 - the caller holds the row
    return row


def list_appraisals(conn: Connection, vehicle_id: str, *, limit: int = 50) -> list[Appraisal]:
    """Return the questions and answers about a vehicle, the newest first."""
    with conn.cursor(row_factory=class_row(Appraisal)) as cur:
        return cur.execute(
            f"SELECT {_COLUMNS} FROM manual_appraisal WHERE vehicle_id = %s"
            " ORDER BY appraisal_id DESC LIMIT %s",
            (vehicle_id, limit),
        ).fetchall()


def expired(conn: Connection, vehicle_ids: Sequence[str], today: date) -> list[str]:
    """Return those of the vehicles whose newest figure has run out while nobody asks for the next."""
    rows = conn.execute(
        "SELECT vehicle_id FROM"
        " (SELECT DISTINCT ON (vehicle_id) vehicle_id, state, valid_until, asked_because"
        " FROM manual_appraisal WHERE vehicle_id = ANY(%s) ORDER BY vehicle_id, appraisal_id DESC) newest"
        " WHERE state = 'closed' AND valid_until < %s AND asked_because <> ARRAY['override']"
        " ORDER BY vehicle_id",
        (list(vehicle_ids), today),
    ).fetchall()
    return [row[0] for row in rows]
