"""Doctor's look at where reports are kept, and at the jobs that keep them."""

from __future__ import annotations

from collections.abc import Iterator

import psycopg

from core.db.pool import connect
from core.settings import Settings
from core.telemetry.storage import jobs
from core.telemetry.storage.profile import store
from pledgewatch.embedded.findings import Check
from pledgewatch.embedded.stack import running_database_url

JOBS = (jobs.ROLLUPS, jobs.COLUMNSTORE, jobs.RETENTION)


def storage(settings: Settings) -> Iterator[Check]:
    """Say which profile is in use, how much it holds, and what the jobs last did."""
    url = settings.database_url or running_database_url(settings.data_dir)
    if url is None:
        return
    try:
        with connect(url, name="doctor") as connection:
            if not store.is_migrated(connection):
                yield Check("storage", "note", "no schema for it yet", "pledgewatch migrate")
                return
            profile = store.profile(connection)
            runs = {run.name: run for run in store.last_runs(connection, JOBS)}
    except psycopg.OperationalError:
        return  # the line of PostgreSQL has said it
    yield Check("storage", "ok", describe(profile))
    for name in JOBS:
        yield _job(name, runs.get(name))


def describe(profile: store.Profile) -> str:
    """Return the profile in a line."""
    size = f"{profile.bytes / 1e6:,.0f} MB"
    holds = f"; {profile.holds} holds" if profile.holds else ""
    if profile.timescaledb is None:
        return f"plain PostgreSQL: {profile.parts} daily partitions, {size}, not compressed{holds}"
    told = f"TimescaleDB: {profile.parts} chunks of {profile.chunk_interval}, {size}"
    packed = profile.columnstore
    if packed.bytes_after:
        told += (
            f"; {packed.chunks} in the columnstore ({packed.bytes_before / packed.bytes_after:.1f} times"
            f" smaller), {packed.late_rows} late reports taken up"
        )
    return told + holds


def _job(name: str, run: store.JobState | None) -> Check:
    if run is None:
        return Check(f"job {name}", "note", "never ran", "runs with `python -m ingest` or `pledgewatch up`")
    at = f"{run.started_at:%Y-%m-%d %H:%M}Z"
    if run.outcome is None:
        return Check(
            f"job {name}", "note", f"began at {at}, has not ended", "look again; then at ingest's log"
        )
    if run.outcome != "done":
        return Check(f"job {name}", "note", f"{run.outcome}, {at}", "look at ingest's log")
    return Check(f"job {name}", "ok", f"done, {at}")
