"""SQL of failed sign-ins; times are database times."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from core.db.pool import Connection

WINDOW_MIN = 15


def failures(conn: Connection, username: str, ip: str) -> tuple[int, int]:
    """Return how often this login, and this address, failed within the last quarter of an hour."""
    row = conn.execute(
        "SELECT count(*) FILTER (WHERE username = %(username)s), count(*) FILTER (WHERE ip = %(ip)s)"
        " FROM sign_in_failure WHERE at > now() - make_interval(mins => %(window)s)"
        " AND (username = %(username)s OR ip = %(ip)s)",
        {"username": username, "ip": ip, "window": WINDOW_MIN},
    ).fetchone()
    assert row is not None  # noqa: S101 - an aggregate has one row
    return row[0], row[1]


def count_failure(conn: Connection, username: str, ip: str) -> None:
    """Record a failure, and forget those older than a day."""
    conn.execute("DELETE FROM sign_in_failure WHERE at < now() - interval '1 day'")
    conn.execute("INSERT INTO sign_in_failure (username, ip) VALUES (%s, %s)", (username, ip))


def forget(conn: Connection, username: str) -> None:
    """Clear a login's failures after a right password."""
    conn.execute("DELETE FROM sign_in_failure WHERE username = %s", (username,))
