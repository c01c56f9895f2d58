"""SQL of disposal cases and appraisals."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, fields
from datetime import date, datetime
from typing import TYPE_CHECKING
from uuid import UUID

from psycopg.rows import class_row

from auction.cases.domain import Appraisal, DisposalCase, LoanFacts, NewAppraisal
from core.errors import NotFound

if TYPE_CHECKING:
    from core.db.pool import Connection

CASE_COLUMNS = ", ".join(column.name for column in fields(DisposalCase))
_APPRAISAL_COLUMNS = ", ".join(column.name for column in fields(Appraisal))
_STAMPS = frozenset({"valued_at", "published_at", "hammer_at", "paid_at", "transferred_at", "closed_at"})


def insert_case(
    conn: Connection,
    *,
    vehicle_id: str,
    org_id: str,
    loan_id: str | None,
    pack: str,
    pack_version: int,
    opened_by: str,
    recovery_case_id: UUID | None = None,
    repossessed_at: datetime | None = None,
) -> DisposalCase | None:
    """Open a case; None when the vehicle has a live one, or the recovery case had one."""
    with conn.cursor(row_factory=class_row(DisposalCase)) as cursor:
        return cursor.execute(
            "INSERT INTO disposal_case (vehicle_id, org_id, loan_id, pack, pack_version, opened_by,"
            f" recovery_case_id, repossessed_at) VALUES (%s, %s, %s, %s, %s, %s, %s, %s)"
            f" ON CONFLICT DO NOTHING RETURNING {CASE_COLUMNS}",
            (vehicle_id, org_id, loan_id, pack, pack_version, opened_by, recovery_case_id, repossessed_at),
        ).fetchone()


def get_case(conn: Connection, case_id: UUID, *, lock: bool = False) -> DisposalCase:
    """Return a case; with ``lock`` hold its row.

    Raises:
        NotFound: there is none with this id.
    """
    found = _one(conn, f"WHERE case_id = %s {'FOR UPDATE' if lock else ''}", case_id)
    if found is None:
        raise NotFound(f"Expected a disposal case, there is none with id {case_id}", code="case_not_found")
    return found


def case_of_recovery(conn: Connection, recovery_case_id: UUID) -> DisposalCase | None:
    """Return the disposal case of a recovery case."""
    return _one(conn, "WHERE recovery_case_id = %s", recovery_case_id)


def live_case_of_vehicle(conn: Connection, vehicle_id: str) -> DisposalCase | None:
    """Return the case in which a vehicle is being sold."""
    return _one(conn, "WHERE vehicle_id = %s AND state IN ('open', 'selling', 'sold')", vehicle_id)


def _one(conn: Connection, where: str, key: object) -> DisposalCase | None:
    with conn.cursor(row_factory=class_row(DisposalCase)) as cursor:
        return cursor.execute(f"SELECT {CASE_COLUMNS} FROM disposal_case {where}", (key,)).fetchone()


def list_cases(
    conn: Connection,
    *,
    org_ids: Sequence[str] | None = None,
    states: Sequence[str] | None = None,
    vehicle_id: str | None = None,
    before_number: int | None = None,
    limit: int = 100,
) -> list[DisposalCase]:
    """Return cases, newest first; ``before_number`` is the last number of the page before."""
    with conn.cursor(row_factory=class_row(DisposalCase)) as cursor:
        return cursor.execute(
            f"SELECT {CASE_COLUMNS} FROM disposal_case"
            " WHERE (%(orgs)s::text[] IS NULL OR org_id = ANY(%(orgs)s))"
            " AND (%(states)s::text[] IS NULL OR state = ANY(%(states)s))"
            " AND (%(vehicle)s::text IS NULL OR vehicle_id = %(vehicle)s)"
            " AND (%(before)s::bigint IS NULL OR number < %(before)s) ORDER BY number DESC LIMIT %(limit)s",
            {
                "orgs": None if org_ids is None else list(org_ids),
                "states": None if states is None else list(states),
                "vehicle": vehicle_id,
                "before": before_number,
                "limit": limit,
            },
        ).fetchall()


def link_recovery(
    conn: Connection, case_id: UUID, recovery_case_id: UUID, repossessed_at: datetime | None
) -> None:
    """Name the recovery case that brought the vehicle of a case opened by hand."""
    conn.execute(
        "UPDATE disposal_case SET recovery_case_id = %s, repossessed_at = coalesce(repossessed_at, %s),"
        " version = version + 1, updated_at = clock_timestamp() WHERE case_id = %s",
        (recovery_case_id, repossessed_at, case_id),
    )


def set_state(conn: Connection, case_id: UUID, state: str) -> None:
    """Write the state; the caller has checked the edge."""
    conn.execute(
        "UPDATE disposal_case SET state = %s, version = version + 1, updated_at = clock_timestamp()"
        " WHERE case_id = %s",
        (state, case_id),
    )


def stamp(conn: Connection, case_id: UUID, stage: str) -> None:
    """Write when a stage was reached, database time; a stage reached again counts from the last time."""
    assert stage in _STAMPS  # noqa: S101 - a name of ours, never a caller's text
    conn.execute(
        f"UPDATE disposal_case SET {stage} = clock_timestamp(), version = version + 1,"
        " updated_at = clock_timestamp() WHERE case_id = %s",
        (case_id,),
    )


def set_basis(
    conn: Connection, case_id: UUID, kind: str, reference: str, dated: date | None, actor: str
) -> None:
    """Write why the lender may sell."""
    conn.execute(
        "UPDATE disposal_case SET basis_kind = %s, basis_reference = %s, basis_dated = %s, basis_by = %s,"
        " version = version + 1, updated_at = clock_timestamp() WHERE case_id = %s",
        (kind, reference, dated, actor, case_id),
    )


def insert_appraisal(conn: Connection, case_id: UUID, appraisal: NewAppraisal, actor: str) -> Appraisal:
    """Append an appraisal."""
    values = asdict(appraisal) | {"case_id": case_id, "recorded_by": actor}
    with conn.cursor(row_factory=class_row(Appraisal)) as cursor:
        row = cursor.execute(
            f"INSERT INTO appraisal ({', '.join(values)})"
            f" VALUES ({', '.join(f'%({name})s' for name in values)})"
            f" RETURNING {_APPRAISAL_COLUMNS}",
            values,
        ).fetchone()
    assert row is not None  # noqa: S101 - RETURNING of an insert always has a row
    return row


def list_appraisals(conn: Connection, case_id: UUID) -> list[Appraisal]:
    """Return the appraisals of a case, newest first."""
    with conn.cursor(row_factory=class_row(Appraisal)) as cursor:
        return cursor.execute(
            f"SELECT {_APPRAISAL_COLUMNS} FROM appraisal WHERE case_id = %s ORDER BY recorded_at DESC",
            (case_id,),
        ).fetchall()


def newest_appraisal(conn: Connection, case_id: UUID) -> Appraisal | None:
    """Return the appraisal that counts."""
    return next(iter(list_appraisals(conn, case_id)), None)


def live_lots(conn: Connection, case_id: UUID) -> list[tuple[UUID, str]]:
    """Return (id, state) of the lots of a case that are neither sold nor given up."""
    return conn.execute(
        "SELECT lot_id, state FROM lot WHERE case_id = %s"
        " AND state IN ('draft', 'review', 'published', 'open', 'suspended') ORDER BY number",
        (case_id,),
    ).fetchall()


def vehicle_custody(conn: Connection, vehicle_id: str) -> tuple[str, str] | None:
    """Return (custody, branch) of a vehicle."""
    return conn.execute("SELECT custody, org_id FROM vehicle WHERE vehicle_id = %s", (vehicle_id,)).fetchone()


def loan_of_vehicle(conn: Connection, vehicle_id: str) -> LoanFacts | None:
    """Return the loan that a vehicle secures: of several the one longest past due that is not paid."""
    return _loan(
        conn,
        "WHERE vehicle_id = %s ORDER BY status = 'paid', days_past_due DESC, balance_minor DESC, loan_id",
        vehicle_id,
    )


def loan_facts(conn: Connection, loan_id: str) -> LoanFacts | None:
    """Return a loan as a disposal sees it."""
    return _loan(conn, "WHERE loan_id = %s", loan_id)


def _loan(conn: Connection, where: str, key: str) -> LoanFacts | None:
    columns = ", ".join(column.name for column in fields(LoanFacts))
    with conn.cursor(row_factory=class_row(LoanFacts)) as cursor:
        return cursor.execute(f"SELECT {columns} FROM loan {where} LIMIT 1", (key,)).fetchone()


def today(conn: Connection, zone: str) -> date:
    """Return the calendar day at a place, in database time."""
    row = conn.execute("SELECT (clock_timestamp() AT TIME ZONE %s)::date", (zone,)).fetchone()
    assert row is not None  # noqa: S101 - a SELECT without FROM has a row
    day: date = row[0]
    return day
