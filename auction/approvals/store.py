"""SQL of approvals. Their times are database times."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any
from uuid import UUID

from psycopg.rows import class_row
from psycopg.types.json import Jsonb

from core.errors import NotFound

if TYPE_CHECKING:
    from core.db.pool import Connection


@dataclass(frozen=True, slots=True)
class Approval:
    """A question and its answer; ``decision`` is None while it waits."""

    approval_id: UUID
    subject: str
    subject_id: str
    action: str
    facts: dict[str, Any] = field(hash=False)
    org_id: str
    asked_by: str
    asked_at: datetime
    expires_at: datetime
    decision: str | None
    decided_by: str | None
    decided_at: datetime | None
    reason: str


_COLUMNS = ", ".join(column.name for column in fields(Approval))
_EXPIRED = "decision IS NULL AND expires_at <= clock_timestamp()"


def insert(
    conn: Connection,
    subject: str,
    subject_id: str,
    action: str,
    facts: Mapping[str, Any],
    org_id: str,
    actor: str,
    lifetime: timedelta,
) -> Approval | None:
    """Ask; None when the same question is waiting."""
    with conn.cursor(row_factory=class_row(Approval)) as cursor:
        return cursor.execute(
            "INSERT INTO approval (subject, subject_id, action, facts, org_id, asked_by, expires_at)"
            " VALUES (%s, %s, %s, %s, %s, %s, clock_timestamp() + %s)"
            " ON CONFLICT (subject, subject_id, action) WHERE decision IS NULL DO NOTHING"
            f" RETURNING {_COLUMNS}",
            (subject, subject_id, action, Jsonb(dict(facts)), org_id, actor, lifetime),
        ).fetchone()


def end_expired(conn: Connection, subject: str, subject_id: str, action: str) -> None:
    """Refuse, in the name of time, a question that nobody answered."""
    conn.execute(
        "UPDATE approval SET decision = 'refused', decided_by = 'system:expiry',"
        " decided_at = clock_timestamp(),"
        f" reason = 'expired' WHERE subject = %s AND subject_id = %s AND action = %s AND {_EXPIRED}",
        (subject, subject_id, action),
    )


def get(conn: Connection, approval_id: UUID, *, lock: bool = False) -> Approval:
    """Return an approval; with ``lock`` hold its row.

    Raises:
        NotFound: there is none with this id.
    """
    with conn.cursor(row_factory=class_row(Approval)) as cursor:
        found = cursor.execute(
            f"SELECT {_COLUMNS} FROM approval WHERE approval_id = %s {'FOR UPDATE' if lock else ''}",
            (approval_id,),
        ).fetchone()
    if found is None:
        raise NotFound(
            f"Expected an approval, there is none with id {approval_id}", code="approval_not_found"
        )
    return found


def is_expired(conn: Connection, approval_id: UUID) -> bool:
    """Whether a question's time has passed unanswered."""
    row = conn.execute(f"SELECT {_EXPIRED} FROM approval WHERE approval_id = %s", (approval_id,)).fetchone()
    return bool(row and row[0])


def decide(conn: Connection, approval_id: UUID, decision: str, actor: str, reason: str) -> None:
    """Write the answer."""
    conn.execute(
        "UPDATE approval SET decision = %s, decided_by = %s, decided_at = clock_timestamp(), reason = %s"
        " WHERE approval_id = %s",
        (decision, actor, reason, approval_id),
    )


def list_approvals(
    conn: Connection,
    *,
    org_ids: Sequence[str] | None = None,
    waiting: bool = False,
    subject: str | None = None,
    subject_id: str | None = None,
    limit: int = 100,
) -> list[Approval]:
    """Return approvals, newest first; ``waiting``: only those that can still be answered."""
    with conn.cursor(row_factory=class_row(Approval)) as cursor:
        return cursor.execute(
            f"SELECT {_COLUMNS} FROM approval WHERE (%(orgs)s::text[] IS NULL OR org_id = ANY(%(orgs)s))"
            " AND (NOT %(waiting)s OR (decision IS NULL AND expires_at > clock_timestamp()))"
            " AND (%(subject)s::text IS NULL OR subject = %(subject)s)"
            " AND (%(subject_id)s::text IS NULL OR subject_id = %(subject_id)s)"
            " ORDER BY asked_at DESC, approval_id LIMIT %(limit)s",
            {
                "orgs": None if org_ids is None else list(org_ids),
                "waiting": waiting,
                "subject": subject,
                "subject_id": subject_id,
                "limit": limit,
            },
        ).fetchall()
