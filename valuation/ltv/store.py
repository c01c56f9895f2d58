"""SQL of LTV marks. Rows are only ever added; the newest of a loan is what holds."""

from __future__ import annotations

from typing import TYPE_CHECKING

from psycopg.rows import class_row

from collateral.records import as_json
from valuation.ltv.domain import Mark, NewMark

if TYPE_CHECKING:
    from collections.abc import Sequence

    from core.db.pool import Connection

_NEW = tuple(NewMark.__dataclass_fields__)
_COLUMNS = ", ".join(f"m.{name}" for name in Mark.__dataclass_fields__)
_TYPED = (
    "loan_id text, vehicle_id text, estimate_id bigint, as_of date, marked_at timestamptz, currency text,"
    " balance_minor bigint, owed_minor bigint, basis text, value_minor bigint, smoothed_minor bigint,"
    " lending_minor bigint, condition double precision, model_version text, model_step double precision,"
    " rebase double precision, ltv double precision, judged_ltv double precision, raised boolean,"
    " severity text, episode_at timestamptz, why text"
)


def insert_marks(conn: Connection, marks: Sequence[NewMark]) -> None:
    """Write marks."""
    if marks:
        conn.execute(
            f"INSERT INTO ltv_mark ({', '.join(_NEW)}) SELECT {', '.join('r.' + name for name in _NEW)}"
            f" FROM jsonb_to_recordset(%s::jsonb) AS r({_TYPED}) ORDER BY r.loan_id",
            (as_json(marks),),
        )


def newest_marks(conn: Connection, loan_ids: Sequence[str]) -> dict[str, Mark]:
    """Return the newest mark of each loan that has one."""
    with conn.cursor(row_factory=class_row(Mark)) as cur:
        rows = cur.execute(
            f"SELECT {_COLUMNS} FROM unnest(%s::text[]) AS asked(loan_id)"
            " JOIN LATERAL (SELECT * FROM ltv_mark WHERE ltv_mark.loan_id = asked.loan_id"
            "  ORDER BY mark_id DESC LIMIT 1) m ON true",
            (list(loan_ids),),
        ).fetchall()
    return {mark.loan_id: mark for mark in rows}


def marks_of_vehicle(conn: Connection, vehicle_id: str) -> list[Mark]:
    """Return the newest mark of each loan that stood on a vehicle and is not over, by loan."""
    with conn.cursor(row_factory=class_row(Mark)) as cur:
        return cur.execute(
            f"SELECT DISTINCT ON (m.loan_id) {_COLUMNS} FROM ltv_mark m JOIN loan l USING (loan_id)"
            " WHERE m.vehicle_id = %s AND l.vehicle_id = m.vehicle_id"
            " AND l.status NOT IN ('paid', 'written_off') ORDER BY m.loan_id, m.mark_id DESC",
            (vehicle_id,),
        ).fetchall()


def raised_without_loan(conn: Connection, vehicle_ids: Sequence[str] | None, limit: int) -> list[Mark]:
    """Return standing breaches of loans that are paid, written off, or on another vehicle now."""
    with conn.cursor(row_factory=class_row(Mark)) as cur:
        return cur.execute(
            f"SELECT {_COLUMNS} FROM loan l JOIN LATERAL (SELECT * FROM ltv_mark"
            "  WHERE ltv_mark.loan_id = l.loan_id ORDER BY mark_id DESC LIMIT 1) m ON m.raised"
            " WHERE (l.status IN ('paid', 'written_off') OR l.balance_minor = 0"
            "  OR l.vehicle_id <> m.vehicle_id)"
            " AND (%(ids)s::text[] IS NULL OR m.vehicle_id = ANY(%(ids)s) OR l.vehicle_id = ANY(%(ids)s))"
            " ORDER BY m.vehicle_id, m.loan_id LIMIT %(limit)s",
            {"ids": None if vehicle_ids is None else list(vehicle_ids), "limit": limit},
        ).fetchall()
