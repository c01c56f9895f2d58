"""SQL of retention. Names of partitions are made here, from dates."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from typing import TYPE_CHECKING, NamedTuple

from core.telemetry.storage.rollups.store import VIEWS, Grain

if TYPE_CHECKING:
    from collections.abc import Sequence

    from core.db.pool import Connection

_HELD = (
    "(r.vehicle_id = ANY(%(vehicles)s) OR EXISTS (SELECT 1 FROM telemetry_hold AS h"
    " WHERE h.released_at IS NULL AND h.vehicle_id = r.vehicle_id"
    " AND r.t >= h.held_from AND r.t < h.held_until))"
)


class Partition(NamedTuple):
    """A day's table: part of telemetry, half way out, or out already."""

    day: date
    attached: bool
    pending: bool

    @property
    def name(self) -> str:
        return f"telemetry_{self.day:%Y%m%d}"


def keep_held(conn: Connection, before: datetime, vehicles: Sequence[str]) -> int:
    """Copy reports under a hold from before a moment, of these vehicles too; returns how many are new."""
    return conn.execute(
        "INSERT INTO telemetry_held SELECT r.* FROM telemetry AS r WHERE r.t < %(before)s"
        " AND r.vehicle_id IN (SELECT vehicle_id FROM telemetry_hold WHERE released_at IS NULL"
        "  UNION SELECT unnest(%(vehicles)s::text[]))"
        f" AND {_HELD} ON CONFLICT DO NOTHING",
        {"before": before, "vehicles": list(vehicles)},
    ).rowcount


def forget_released(conn: Connection, vehicles: Sequence[str]) -> int:
    """Delete copies that nothing holds any more."""
    return conn.execute(
        f"DELETE FROM telemetry_held AS r WHERE NOT {_HELD}", {"vehicles": list(vehicles)}
    ).rowcount


def drop_undated(conn: Connection, before: datetime, vehicles: Sequence[str]) -> int:
    """Delete undated reports received before a moment, but those under a hold."""
    return conn.execute(
        "DELETE FROM telemetry_undated AS r WHERE r.t < %(before)s"
        f" AND (r.vehicle_id IS NULL OR NOT {_HELD})",
        {"before": before, "vehicles": list(vehicles)},
    ).rowcount


# ------------------------------------------------------------------------------- TimescaleDB


def drop_chunks(conn: Connection, relation: str, before: datetime) -> int:
    """Drop the chunks that end before a moment; returns how many."""
    return conn.execute(
        "SELECT drop_chunks(%s::regclass, older_than => %s::timestamptz)", (relation, before)
    ).rowcount


def forget_days(conn: Connection, before: date) -> None:
    """Take days out of the list of those that telemetry may hold."""
    conn.execute("DELETE FROM telemetry_partition WHERE day < %s", (before,))


# ------------------------------------------------------------------------------- plain PostgreSQL


def partitions_before(conn: Connection, before: date) -> list[Partition]:
    """Return the tables of days before a date, oldest first."""
    rows = conn.execute(
        "SELECT to_date(right(c.relname, 8), 'YYYYMMDD'), i.inhrelid IS NOT NULL,"
        " coalesce(i.inhdetachpending, false)"
        " FROM pg_class c LEFT JOIN pg_inherits i ON i.inhrelid = c.oid"
        " AND i.inhparent = 'telemetry'::regclass"
        " WHERE c.relkind = 'r' AND c.relname ~ '^telemetry_[0-9]{8}$'"
        " AND c.relnamespace = current_schema::regnamespace"
        " AND right(c.relname, 8) < to_char(%s::date, 'YYYYMMDD') ORDER BY 1",
        (before,),
    ).fetchall()
    return [Partition(*row) for row in rows]


def detach(conn: Connection, partition: Partition) -> None:
    """Take a day out of telemetry without shutting readers out; needs autocommit."""
    conn.execute(f"ALTER TABLE telemetry DETACH PARTITION {partition.name} CONCURRENTLY".encode())


def finish_detach(conn: Connection, partition: Partition) -> None:
    """End what an interrupted detach began."""
    conn.execute(f"ALTER TABLE telemetry DETACH PARTITION {partition.name} FINALIZE".encode())


def drop_day(conn: Connection, partition: Partition) -> None:
    """Drop a day that is no part of telemetry any more."""
    conn.execute(f"DROP TABLE {partition.name}".encode())
    conn.execute("DELETE FROM telemetry_partition WHERE day = %s", (partition.day,))


def drop_kept(conn: Connection, grain: Grain, before: datetime) -> int:
    """Delete rollups of before a moment."""
    return conn.execute(f"DELETE FROM {VIEWS[grain]}_kept WHERE bucket < %s", (before,)).rowcount


def end_of_day(day: date) -> datetime:
    """Return the moment a UTC day ends."""
    return datetime.combine(day, time(), UTC) + timedelta(days=1)
