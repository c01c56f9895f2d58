"""SQL of job leadership and memory."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import datetime

    from core.db.pool import Connection


def try_lock(conn: Connection, lock: tuple[int, int]) -> bool:
    """Take a session advisory lock without waiting; it goes with the connection."""
    row = conn.execute("SELECT pg_try_advisory_lock(%s, %s)", lock).fetchone()
    return bool(row and row[0])


def begin_run(conn: Connection, name: str, slot: datetime) -> bool:
    """Remember that a slot starts; false when it ran already (an unfinished one may run again)."""
    row = conn.execute(
        "INSERT INTO job_run (name, slot) VALUES (%s, %s)"
        " ON CONFLICT (name, slot) DO UPDATE SET started_at = clock_timestamp()"
        " WHERE job_run.ended_at IS NULL RETURNING name",
        (name, slot),
    ).fetchone()
    return row is not None


def end_run(conn: Connection, name: str, slot: datetime, outcome: str) -> None:
    """Remember how a slot ended."""
    conn.execute(
        "UPDATE job_run SET ended_at = clock_timestamp(), outcome = %s WHERE name = %s AND slot = %s",
        (outcome, name, slot),
    )
