"""The jobs of storage; they run on telemetry time, in whichever process calls ``start_jobs`` with them.

TimescaleDB's own policies run on the machine's time and know no holds, and the Apache edition has none:
so the same jobs drive both stores. Under the data clock nothing is compressed or dropped: recorded files
are of any age and come in any order.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from core.jobs import Job
from core.policy.pack import load_pack
from core.telemetry.clock import open_clock
from core.telemetry.storage.chunks.columnstore import settle_chunks
from core.telemetry.storage.periods import periods_of
from core.telemetry.storage.retention.retain import retain
from core.telemetry.storage.rollups.refresh import refresh_rollups

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from core.clock import Clock
    from core.db.pool import Connection
    from core.settings import Settings

ROLLUPS_S = 600
COLUMNSTORE_S = 3_600
RETENTION_S = 6 * 3_600
ROLLUPS, COLUMNSTORE, RETENTION = "telemetry-rollups", "telemetry-columnstore", "telemetry-retention"


def storage_jobs(settings: Settings, open_vehicles: Callable[[Connection], Sequence[str]]) -> list[Job]:
    """Return the jobs; ``open_vehicles`` names those whose reports a recovery still needs."""
    periods = periods_of(load_pack(settings.policy_pack))

    def clock_of(conn: Connection) -> Clock:
        with conn.transaction():
            return open_clock(conn, settings)

    def rollups(conn: Connection) -> None:
        refresh_rollups(conn, clock_of(conn).now())

    def columnstore(conn: Connection) -> None:
        clock = clock_of(conn)
        if clock.bounded:
            settle_chunks(conn, clock.now())

    def retention(conn: Connection) -> None:
        clock = clock_of(conn)
        if clock.bounded:
            refresh_rollups(conn, clock.now())
            retain(conn, periods, clock.now(), open_vehicles(conn))

    return [
        Job(ROLLUPS, ROLLUPS_S, rollups),
        Job(COLUMNSTORE, COLUMNSTORE_S, columnstore),
        Job(RETENTION, RETENTION_S, retention),
    ]
