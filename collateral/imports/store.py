"""SQL of importing."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from core.db.pool import Connection

LOCK_KEY = (7110, 0)
"""Advisory lock (namespace, id): two files at once would judge a registry that the other changes."""


def wait_for_turn(conn: Connection) -> None:
    """Let one import at a time go on; held until the caller's transaction ends."""
    conn.execute("SELECT pg_advisory_xact_lock(%s, %s)", LOCK_KEY)
