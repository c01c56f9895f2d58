"""SQL that benches ask about the server they run on."""

from __future__ import annotations

from core.db.pool import Connection
from core.db.timescale import detect


def describe_server(conn: Connection) -> dict[str, str]:
    """Return versions and whether commits reach the disk."""
    mode = detect(conn)
    row = conn.execute("SELECT current_setting('fsync'), current_setting('synchronous_commit')").fetchone()
    return {
        "postgresql": mode.postgresql,
        "timescaledb": mode.timescaledb or "absent",
        "fsync": str(row[0]) if row else "?",
        "synchronous_commit": str(row[1]) if row else "?",
    }


def count_deliveries(conn: Connection) -> int:
    """Return how many messages were ever asked for."""
    row = conn.execute("SELECT count(*) FROM delivery").fetchone()
    return int(row[0]) if row else 0
