"""SQL of the profile."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, NamedTuple

from core.db.timescale import detect
from core.telemetry.storage.chunks import store as chunks

if TYPE_CHECKING:
    from collections.abc import Sequence

    from core.db.pool import Connection


class JobState(NamedTuple):
    """The newest run of a job; ``outcome`` None: it runs, or was killed."""

    name: str
    started_at: datetime
    outcome: str | None


@dataclass(frozen=True, slots=True)
class Profile:
    """The store: ``parts`` are chunks or daily partitions."""

    timescaledb: str | None
    parts: int
    bytes: int
    chunk_interval: timedelta | None
    columnstore: chunks.ColumnstoreTotals
    holds: int


def is_migrated(conn: Connection) -> bool:
    """Whether the tables of storage are there."""
    return conn.execute("SELECT to_regclass('telemetry_hold')").fetchone() != (None,)


def profile(conn: Connection) -> Profile:
    """Return what the store looks like."""
    version = detect(conn).timescaledb
    row = conn.execute("SELECT count(*) FROM telemetry_hold WHERE released_at IS NULL").fetchone()
    holds = int(row[0]) if row else 0
    if version is None:
        row = conn.execute(
            "SELECT count(*), coalesce(sum(pg_total_relation_size(inhrelid)), 0)::bigint"
            " FROM pg_inherits WHERE inhparent = 'telemetry'::regclass"
        ).fetchone()
        interval = None
    else:
        row = conn.execute(
            "SELECT (SELECT count(*) FROM timescaledb_information.chunks"
            "  WHERE hypertable_schema = current_schema AND hypertable_name = 'telemetry'),"
            " hypertable_size('telemetry')"
        ).fetchone()
        interval = chunks.chunk_interval(conn)
    parts, size = (int(row[0]), int(row[1])) if row else (0, 0)
    return Profile(version, parts, size, interval, chunks.totals(conn), holds)


def last_runs(conn: Connection, names: Sequence[str]) -> list[JobState]:
    """Return the newest run of each job that ever ran."""
    rows = conn.execute(
        "SELECT DISTINCT ON (name) name, started_at, outcome FROM job_run WHERE name = ANY(%s)"
        " ORDER BY name, slot DESC",
        (list(names),),
    ).fetchall()
    return [JobState(*row) for row in rows]
