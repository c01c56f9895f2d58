"""What the valuation process does on a tick, and the loop that ticks."""

from __future__ import annotations

from typing import TYPE_CHECKING

import psycopg
import structlog

from core.clock import DATA_CLOCK_EPOCH
from core.jobs import Job, run_job
from core.telemetry.clock import open_clock
from valuation.connectors.run import pull_all
from valuation.service.mark import mark_all
from valuation.vehicles.models import PROCESS_MODELS

if TYPE_CHECKING:
    import threading
    from collections.abc import Sequence

    from core.db.pool import Connection
    from core.settings import Settings

MARK_EVERY_S = 300
"""How soon after midnight, a new model or a new loan the marks follow; most ticks find nothing to do."""
PULL_EVERY_S = 900
TICK_S = 2.0

_log = structlog.get_logger("valuation")


def valuation_jobs(settings: Settings) -> list[Job]:
    """Return the jobs of this room; market sources only where the deployment names some."""

    def mark(conn: Connection) -> None:
        now = open_clock(conn, settings).now()
        if now <= DATA_CLOCK_EPOCH:
            return  # a clock that follows the data, before the first report
        done = mark_all(conn, PROCESS_MODELS, now, settings.timezone)
        if done.vehicles or done.cleared:
            _log.info(
                "marked", vehicles=done.vehicles, loans=done.loans, raised=done.raised, cleared=done.cleared,
                **done.by_status,
            )  # fmt: skip

    jobs = [Job("valuation-mark", MARK_EVERY_S, mark)]

    def pull(conn: Connection) -> None:
        pull_all(conn, settings)

    if settings.market_sources:
        jobs.append(Job("valuation-sources", PULL_EVERY_S, pull))
    return jobs


def run_until(stop: threading.Event, database_url: str, jobs: Sequence[Job]) -> None:
    """Run each job once per slot until told to stop; a database that goes away is waited for."""
    while not stop.is_set():
        for job in jobs:
            if stop.is_set():
                return
            try:
                run_job(database_url, job)
            except psycopg.OperationalError as exc:
                _log.warning("database_away", job=job.name, error=str(exc).strip())
        stop.wait(TICK_S)
