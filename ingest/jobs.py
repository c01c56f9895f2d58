"""Upkeep on a tick: the ledger is folded, tomorrow's partition is there before midnight."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from alerts.cases.store import vehicles_with_open_case
from core.jobs import Job
from core.telemetry.clock import open_clock
from core.telemetry.partitions import Partitions
from core.telemetry.storage.jobs import storage_jobs
from ingest.store import fold_ledger

if TYPE_CHECKING:
    from core.db.pool import Connection
    from core.settings import Settings

HOURLY_S = 3600
LEDGER_IN_FULL = timedelta(days=2)


def ingest_jobs(settings: Settings) -> list[Job]:
    """Return the jobs of this room."""

    def fold(conn: Connection) -> None:
        with conn.transaction():
            fold_ledger(conn, LEDGER_IN_FULL)

    def open_days(conn: Connection) -> None:
        with conn.transaction():
            clock = open_clock(conn, settings)
        if not clock.bounded:
            return  # recorded files bring their own days
        today = clock.now().date()
        with conn.transaction():
            Partitions().ensure(conn, {today, today + timedelta(days=1)})

    return [
        Job("ingest-fold-ledger", HOURLY_S, fold),
        Job("ingest-open-days", HOURLY_S, open_days),
        *storage_jobs(settings, vehicles_with_open_case),
    ]
