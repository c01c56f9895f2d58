"""SQL of case files."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from psycopg.rows import class_row
from psycopg.types.json import Jsonb

from core.errors import NotFound

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime
    from uuid import UUID

    from core.db.pool import Connection

CASE_COLUMNS = (
    "case_id, number, vehicle_id, org_id, state, title, opened_by, opened_at, closed_at, close_reason,"
    " version, recovered_at, in_yard_at, released_at"
)


@dataclass(frozen=True, slots=True)
class CaseFile:
    """One case."""

    case_id: UUID
    number: int
    vehicle_id: str
    org_id: str
    state: str
    title: str
    opened_by: str
    opened_at: datetime
    closed_at: datetime | None
    close_reason: str | None
    version: int
    recovered_at: datetime | None = None
    in_yard_at: datetime | None = None
    released_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class CaseEntry:
    """One line of a case: who did what, when."""

    entry_id: int
    case_id: UUID
    at: datetime
    actor: str
    kind: str
    text: str
    facts: dict[str, Any] = field(hash=False)


def insert_case(conn: Connection, vehicle_id: str, org_id: str, title: str, opened_by: str) -> CaseFile:
    """Open a file."""
    with conn.cursor(row_factory=class_row(CaseFile)) as cursor:
        case = cursor.execute(
            f"INSERT INTO case_file (vehicle_id, org_id, title, opened_by) VALUES (%s, %s, %s, %s)"
            f" RETURNING {CASE_COLUMNS}",
            (vehicle_id, org_id, title, opened_by),
        ).fetchone()
    assert case is not None  # noqa: S101 - RETURNING of an insert always has a row
    return case


def get_case(conn: Connection, case_id: UUID, *, lock: bool = False) -> CaseFile:
    """Return a case; with ``lock`` hold its row.

    Raises:
        NotFound: there is none with this id.
    """
    with conn.cursor(row_factory=class_row(CaseFile)) as cursor:
        case = cursor.execute(
            f"SELECT {CASE_COLUMNS} FROM case_file WHERE case_id = %s {'FOR UPDATE' if lock else ''}",
            (case_id,),
        ).fetchone()
    if case is None:
        raise NotFound(f"Expected a case, there is none with id {case_id}", code="case_not_found")
    return case


def list_cases(
    conn: Connection,
    *,
    org_ids: Sequence[str] | None = None,
    vehicle_id: str | None = None,
    before_number: int | None = None,
    limit: int = 100,
) -> list[CaseFile]:
    """Return cases, newest first."""
    with conn.cursor(row_factory=class_row(CaseFile)) as cursor:
        return cursor.execute(
            f"SELECT {CASE_COLUMNS} FROM case_file WHERE (%(orgs)s::text[] IS NULL OR org_id = ANY(%(orgs)s))"
            " AND (%(vehicle)s::text IS NULL OR vehicle_id = %(vehicle)s)"
            " AND (%(before)s::bigint IS NULL OR number < %(before)s) ORDER BY number DESC LIMIT %(limit)s",
            {
                "orgs": None if org_ids is None else list(org_ids),
                "vehicle": vehicle_id,
                "before": before_number,
                "limit": limit,
            },
        ).fetchall()


def vehicles_with_open_case(conn: Connection) -> list[str]:
    """Return the vehicles whose case is not closed: their reports are still needed."""
    rows = conn.execute(
        "SELECT DISTINCT vehicle_id FROM case_file WHERE state <> 'closed' ORDER BY 1"
    ).fetchall()
    return [vehicle_id for (vehicle_id,) in rows]


def open_case_of_alert(conn: Connection, alert_id: UUID) -> UUID | None:
    """Return the open case that already holds an alert."""
    row = conn.execute(
        "SELECT c.case_id FROM case_file c JOIN case_alert a USING (case_id)"
        " WHERE a.alert_id = %s AND c.state <> 'closed'",
        (alert_id,),
    ).fetchone()
    return row[0] if row else None


def link_alert(conn: Connection, case_id: UUID, alert_id: UUID) -> None:
    """Put an alert into a case; twice is once."""
    conn.execute(
        "INSERT INTO case_alert (case_id, alert_id) VALUES (%s, %s) ON CONFLICT DO NOTHING",
        (case_id, alert_id),
    )


def alerts_of_case(conn: Connection, case_id: UUID) -> list[UUID]:
    """Return the alerts of a case."""
    rows = conn.execute("SELECT alert_id FROM case_alert WHERE case_id = %s", (case_id,)).fetchall()
    return [row[0] for row in rows]


def add_entry(
    conn: Connection,
    case_id: UUID,
    actor: str,
    kind: str,
    text: str = "",
    facts: Mapping[str, Any] | None = None,
) -> CaseEntry:
    """Append an entry."""
    with conn.cursor(row_factory=class_row(CaseEntry)) as cursor:
        entry = cursor.execute(
            "INSERT INTO case_entry (case_id, actor, kind, text, facts) VALUES (%s, %s, %s, %s, %s)"
            " RETURNING entry_id, case_id, at, actor, kind, text, facts",
            (case_id, actor, kind, text, Jsonb(dict(facts or {}))),
        ).fetchone()
    assert entry is not None  # noqa: S101 - RETURNING of an insert always has a row
    return entry


def entries(conn: Connection, case_id: UUID) -> list[CaseEntry]:
    """Return a case's entries, oldest first."""
    with conn.cursor(row_factory=class_row(CaseEntry)) as cursor:
        return cursor.execute(
            "SELECT entry_id, case_id, at, actor, kind, text, facts FROM case_entry"
            " WHERE case_id = %s ORDER BY entry_id",
            (case_id,),
        ).fetchall()


_STAMPS = {"recovered": "recovered_at", "in_yard": "in_yard_at", "released": "released_at"}


def set_state(conn: Connection, case_id: UUID, state: str) -> CaseFile:
    """Move a case, noting when it came to the states that count for the vehicle; the caller has its row."""
    stamp = f", {_STAMPS[state]} = clock_timestamp()" if state in _STAMPS else ""
    with conn.cursor(row_factory=class_row(CaseFile)) as cursor:
        case = cursor.execute(
            f"UPDATE case_file SET state = %s, version = version + 1{stamp} WHERE case_id = %s"
            f" RETURNING {CASE_COLUMNS}",
            (state, case_id),
        ).fetchone()
    assert case is not None  # noqa: S101 - the caller holds the row
    return case


def close_case(conn: Connection, case_id: UUID, reason: str) -> None:
    """Close a file."""
    conn.execute(
        "UPDATE case_file SET state = 'closed', closed_at = clock_timestamp(), close_reason = %s,"
        " version = version + 1 WHERE case_id = %s",
        (reason, case_id),
    )
