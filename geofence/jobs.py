"""Upkeep on a tick."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from core.clock import to_ms
from core.jobs import Job
from core.telemetry.clock import open_clock
from core.telemetry.gaps import reader
from core.telemetry.gaps import store as gap_store
from geofence.gaps.judge import judge_gaps
from geofence.moving import DAY_MS, DENSE_MS
from geofence.store.states import thin_checkpoints

if TYPE_CHECKING:
    from core.db.pool import Connection
    from core.settings import Settings

DAILY_MS = 100 * DAY_MS
"""Daily checkpoints outlive the 90 days that a report may be late."""

THIN_EVERY_S = 3600
GAPS_EVERY_S = 60
GAPS_KEPT = timedelta(days=180)


def geofence_jobs(settings: Settings) -> list[Job]:
    """Return the jobs of this room."""

    def thin(conn: Connection) -> None:
        with conn.transaction():
            now_ms = to_ms(open_clock(conn, settings).now())
            thin_checkpoints(conn, now_ms - DENSE_MS, now_ms - DAILY_MS)

    def gaps(conn: Connection) -> None:
        with conn.transaction():
            now = open_clock(conn, settings).now()
        reader.catch_up(conn, now)
        with conn.transaction():
            judge_gaps(
                conn, now, days=settings.gap_buffer_days, days_by_model=settings.gap_buffer_days_by_model
            )

    def forget_gaps(conn: Connection) -> None:
        with conn.transaction():
            gap_store.forget(conn, open_clock(conn, settings).now() - GAPS_KEPT)

    return [
        Job("geofence-thin-checkpoints", THIN_EVERY_S, thin),
        Job("geofence-gaps", GAPS_EVERY_S, gaps),
        Job("geofence-forget-gaps", THIN_EVERY_S, forget_gaps),
    ]
