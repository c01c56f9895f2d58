"""Jobs that run on a tick, once per deployment.

APScheduler 3.11 only ticks (in memory, UTC). Each run takes the job's advisory lock
(namespace 7002) without waiting: whoever holds it is the leader for that tick, so two processes
never run the same job at once. ``job_run`` has one row per (name, slot): a slot runs once even
if the leader changes in the middle.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import structlog
from apscheduler.schedulers.background import BackgroundScheduler
from apscheduler.triggers.interval import IntervalTrigger

from core.clock import wall_now
from core.db.pool import connect
from core.job_runs.store import begin_run, end_run, try_lock

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from core.db.pool import Connection

JOB_LOCKS = 7002

_log = structlog.get_logger("jobs")


@dataclass(frozen=True, slots=True)
class Job:
    """``work`` gets a connection in autocommit mode and opens its own transactions."""

    name: str
    every_s: int
    work: Callable[[Connection], None]


def slot_of(moment: datetime, every_s: int) -> datetime:
    """Return the start of the period of ``every_s`` seconds that holds ``moment``."""
    seconds = int(moment.timestamp()) // every_s * every_s
    return datetime.fromtimestamp(seconds, UTC)


def run_job(database_url: str, job: Job) -> bool:
    """Run the job for the current slot unless somebody does or did; returns whether it ran here."""
    with connect(database_url, name=f"job-{job.name}", autocommit=True) as conn:
        slot = slot_of(wall_now(), job.every_s)
        lock = (JOB_LOCKS, zlib.crc32(job.name.encode()) & 0x7FFFFFFF)
        if not try_lock(conn, lock) or not begin_run(conn, job.name, slot):
            return False
        try:
            job.work(conn)
        except Exception as exc:  # noqa: BLE001 - any failure is remembered in job_run and tried at the next slot
            _log.exception("job_failed", job=job.name)
            if not conn.closed:
                end_run(conn, job.name, slot, f"failed: {type(exc).__name__}: {exc}"[:500])
            return False
        end_run(conn, job.name, slot, "done")
        return True


def start_jobs(database_url: str, jobs: Sequence[Job]) -> BackgroundScheduler:
    """Tick the jobs in background threads; the caller calls ``shutdown()``."""
    scheduler = BackgroundScheduler(
        timezone=UTC, job_defaults={"coalesce": True, "max_instances": 1, "misfire_grace_time": 60}
    )
    for job in jobs:
        scheduler.add_job(
            run_job, IntervalTrigger(seconds=job.every_s), args=(database_url, job), id=job.name
        )
    scheduler.start()
    return scheduler
