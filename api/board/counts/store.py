"""SQL of health and metrics."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from core.db.pool import Connection


@dataclass(frozen=True, slots=True)
class Figures:
    """What metrics show."""

    open_alerts: dict[str, int]
    devices_heard: int
    replays_waiting: int
    location_reads: int


def applied_migrations(conn: Connection) -> set[str]:
    """Return the names of applied (or skipped) migrations; empty before the first."""
    there = conn.execute("SELECT to_regclass('schema_migration') IS NOT NULL").fetchone()
    if not there or not there[0]:
        return set()
    return {row[0] for row in conn.execute("SELECT name FROM schema_migration")}


def watermark(conn: Connection) -> tuple[datetime | None, datetime | None]:
    """Return (telemetry time proved to be stored, wall time of that proof) of the slowest slot."""
    row = conn.execute("SELECT min(received_until), min(updated_at) FROM time_watermark").fetchone()
    return (row[0], row[1]) if row else (None, None)


def figures(conn: Connection) -> Figures:
    """Count open alerts and friends."""
    by_severity: dict[str, int] = dict(
        conn.execute(
            "SELECT severity, count(*) FROM alert"
            " WHERE work_state NOT IN ('resolved', 'false_alarm') GROUP BY severity"
        ).fetchall()
    )
    row = conn.execute(
        "SELECT (SELECT count(*) FROM device_status WHERE last_t IS NOT NULL),"
        " (SELECT count(*) FROM replay_request), (SELECT coalesce(max(view_id), 0) FROM view_log)"
    ).fetchone()
    assert row is not None  # noqa: S101 - a SELECT without FROM has one row
    return Figures(by_severity, *row)
