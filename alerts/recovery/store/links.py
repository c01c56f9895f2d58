"""SQL of crew links and of their uses; times are database times."""

from __future__ import annotations

from typing import TYPE_CHECKING

from psycopg.rows import class_row

from alerts.recovery.domain import CrewLink, CrewLinkView

if TYPE_CHECKING:
    from datetime import timedelta
    from uuid import UUID

    from core.db.pool import Connection

_LINK = (
    "SELECT l.link_id, l.case_id, l.crew, l.created_by, l.created_at, l.expires_at, l.revoked_at,"
    " l.revoked_by, l.expires_at <= clock_timestamp() AS expired,"
    " (SELECT count(*) FROM crew_link_view v WHERE v.link_id = l.link_id)::int AS views FROM crew_link l"
)


def insert_link(
    conn: Connection, token_sha256: bytes, case_id: UUID, crew: str, created_by: str, lifetime: timedelta
) -> int:
    """Write a link; returns its id."""
    row = conn.execute(
        "INSERT INTO crew_link (token_sha256, case_id, crew, created_by, expires_at)"
        " VALUES (%s, %s, %s, %s, clock_timestamp() + %s::interval) RETURNING link_id",
        (token_sha256, case_id, crew, created_by, lifetime),
    ).fetchone()
    assert row is not None  # noqa: S101 - RETURNING of an insert has a row
    return int(row[0])


def link_of_token(conn: Connection, token_sha256: bytes) -> CrewLink | None:
    """Return the link of a token, also one that has ended."""
    with conn.cursor(row_factory=class_row(CrewLink)) as cursor:
        return cursor.execute(f"{_LINK} WHERE l.token_sha256 = %s", (token_sha256,)).fetchone()


def get_link(conn: Connection, case_id: UUID, link_id: int) -> CrewLink | None:
    """Return a link of a case."""
    with conn.cursor(row_factory=class_row(CrewLink)) as cursor:
        return cursor.execute(
            f"{_LINK} WHERE l.case_id = %s AND l.link_id = %s", (case_id, link_id)
        ).fetchone()


def list_links(conn: Connection, case_id: UUID) -> list[CrewLink]:
    """Return the links of a case, newest first."""
    with conn.cursor(row_factory=class_row(CrewLink)) as cursor:
        return cursor.execute(f"{_LINK} WHERE l.case_id = %s ORDER BY l.link_id DESC", (case_id,)).fetchall()


def revoke_link(conn: Connection, link_id: int, by: str) -> bool:
    """End a link; false when it was ended."""
    done = conn.execute(
        "UPDATE crew_link SET revoked_at = clock_timestamp(), revoked_by = %s"
        " WHERE link_id = %s AND revoked_at IS NULL",
        (by, link_id),
    )
    return done.rowcount == 1


def revoke_links_of(conn: Connection, case_id: UUID, by: str) -> int:
    """End every link of a case."""
    return conn.execute(
        "UPDATE crew_link SET revoked_at = clock_timestamp(), revoked_by = %s"
        " WHERE case_id = %s AND revoked_at IS NULL",
        (by, case_id),
    ).rowcount


def add_view(conn: Connection, link_id: int, ip: str, what: str) -> None:
    """Log one use."""
    conn.execute("INSERT INTO crew_link_view (link_id, ip, what) VALUES (%s, %s, %s)", (link_id, ip, what))


def views_of(conn: Connection, link_id: int, limit: int) -> list[CrewLinkView]:
    """Return the newest uses of a link, newest first."""
    with conn.cursor(row_factory=class_row(CrewLinkView)) as cursor:
        return cursor.execute(
            "SELECT at, ip, what FROM crew_link_view WHERE link_id = %s ORDER BY view_id DESC LIMIT %s",
            (link_id, limit),
        ).fetchall()
