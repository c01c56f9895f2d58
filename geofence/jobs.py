"""Upkeep on a tick."""

from __future__ import annotations

from typing import TYPE_CHECKING

from core.clock import to_ms
from core.jobs import Job
from core.telemetry.clock import open_clock
from geofence.moving import DAY_MS, DENSE_MS
from geofence.store.states import thin_checkpoints

if TYPE_CHECKING:
    from core.db.pool import Connection
    from core.settings import Settings

DAILY_MS = 100 * DAY_MS
"""Daily checkpoints outlive the 90 days that a report may be late."""

THIN_EVERY_S = 3600


def geofence_jobs(settings: Settings) -> list[Job]:
    """Return the jobs of this room."""

    def thin(conn: Connection) -> None:
        with conn.transaction():
            now_ms = to_ms(open_clock(conn, settings).now())
            thin_checkpoints(conn, now_ms - DENSE_MS, now_ms - DAILY_MS)

    return [Job("geofence-thin-checkpoints", THIN_EVERY_S, thin)]
