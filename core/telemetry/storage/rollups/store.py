"""SQL of rollups: reading the views of either store, and what keeps them up to date."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING, Literal, NamedTuple

if TYPE_CHECKING:
    from core.db.pool import Connection

Grain = Literal["hour", "day"]
VIEWS: dict[Grain, str] = {"hour": "telemetry_hourly", "day": "telemetry_daily"}
WIDTHS: dict[Grain, timedelta] = {"hour": timedelta(hours=1), "day": timedelta(days=1)}
COLUMNS = "bucket, device_id, vehicle_id, reports, fixes, distance_m, moving_s, max_speed_kmh"
NOTING_LOCK = (7008, 0)
"""Shared by whoever changes reports (migration 0208)."""
KEPT_LOCK = (7008, 1)


class Rollup(NamedTuple):
    """One device in one vehicle over one hour or day from ``bucket`` on (UTC)."""

    bucket: datetime
    device_id: str
    vehicle_id: str | None
    reports: int
    fixes: int
    distance_m: float
    moving_s: float
    max_speed_kmh: float | None


class LocalDay(NamedTuple):
    """A vehicle's day in a time zone, by the device that saw it drive farthest."""

    day: date
    device_id: str
    fixes: int
    distance_m: float
    moving_s: float
    max_speed_kmh: float | None


def of_vehicle(
    conn: Connection, grain: Grain, vehicle_id: str, start: datetime, end: datetime
) -> list[Rollup]:
    """Return a vehicle's rollups with start <= bucket < end, by bucket and device."""
    rows = conn.execute(
        f"SELECT {COLUMNS} FROM {VIEWS[grain]}"
        " WHERE vehicle_id = %s AND bucket >= %s AND bucket < %s ORDER BY bucket, device_id",
        (vehicle_id, start, end),
    ).fetchall()
    return [Rollup(*row) for row in rows]


def local_days(
    conn: Connection, vehicle_id: str, start: datetime, end: datetime, zone: str
) -> list[LocalDay]:
    """Return a vehicle's days in a zone, added up from its hours; two devices do not count twice.

    For zones that differ from UTC by whole hours; in others the half hours fall to the day before.
    """
    rows = conn.execute(
        "WITH told AS (SELECT (date_trunc('day', bucket, %(zone)s) AT TIME ZONE %(zone)s)::date AS day,"
        " device_id, sum(fixes)::bigint AS fixes, sum(distance_m) AS distance_m, sum(moving_s) AS moving_s,"
        " max(max_speed_kmh) AS max_speed_kmh FROM telemetry_hourly"
        " WHERE vehicle_id = %(vehicle)s AND bucket >= %(start)s AND bucket < %(end)s GROUP BY 1, 2)"
        " SELECT DISTINCT ON (day) * FROM told ORDER BY day, distance_m DESC, fixes DESC, device_id",
        {"zone": zone, "vehicle": vehicle_id, "start": start, "end": end},
    ).fetchall()
    return [LocalDay(*row) for row in rows]


# ------------------------------------------------------------------------------- TimescaleDB


def oldest_chunk(conn: Connection) -> datetime | None:
    """Return where the hypertable begins; None when it is empty."""
    row = conn.execute(
        "SELECT min(range_start) FROM timescaledb_information.chunks"
        " WHERE hypertable_schema = current_schema AND hypertable_name = 'telemetry'"
    ).fetchone()
    return row[0] if row else None


def refresh(conn: Connection, grain: Grain, start: datetime, end: datetime) -> None:
    """Let TimescaleDB add up what changed in [start, end); needs autocommit."""
    conn.execute(
        "CALL refresh_continuous_aggregate(%s::regclass, %s::timestamptz, %s::timestamptz)",
        (VIEWS[grain], start, end),
    )


def rollup_table(conn: Connection, grain: Grain) -> str:
    """Return the table behind a view, on either store."""
    if conn.execute("SELECT to_regclass('telemetry_rollup_mark')").fetchone() != (None,):
        return f"{VIEWS[grain]}_kept"
    row = conn.execute(
        "SELECT format('%%I.%%I', materialization_hypertable_schema, materialization_hypertable_name)"
        " FROM timescaledb_information.continuous_aggregates"
        " WHERE view_schema = current_schema AND view_name = %s",
        (VIEWS[grain],),
    ).fetchone()
    assert row is not None  # noqa: S101 - migration 0207 makes both
    return str(row[0])


# ------------------------------------------------------------------------------- plain PostgreSQL


def oldest_day(conn: Connection) -> date | None:
    """Return the first day that telemetry may hold; None when it is empty."""
    row = conn.execute("SELECT min(day) FROM telemetry_partition").fetchone()
    return row[0] if row else None


def start_noting(conn: Connection, until: datetime) -> None:
    """Have every change before ``until`` noted from now on; waits for those who may not have seen it."""
    conn.execute("SET LOCAL lock_timeout = '5s'")
    conn.execute("SELECT pg_advisory_xact_lock(%s, %s)", NOTING_LOCK)
    conn.execute("UPDATE telemetry_rollup_mark SET noting = greatest(noting, %s)", (until,))


def lock_kept(conn: Connection) -> None:
    """Let one at a time replace kept rows: two would each add the same hour."""
    conn.execute("SELECT pg_advisory_xact_lock(%s, %s)", KEPT_LOCK)


def kept_until(conn: Connection, grain: Grain) -> datetime | None:
    """Return up to where the kept rows reach; None before the first."""
    row = conn.execute(
        "SELECT nullif(until, '-infinity') FROM telemetry_rollup_mark WHERE grain = %s", (grain,)
    ).fetchone()
    return row[0] if row else None


def keep(conn: Connection, grain: Grain, start: datetime, end: datetime) -> None:
    """Add up [start, end), which nobody has kept yet, and move the mark there."""
    conn.execute(
        f"INSERT INTO {VIEWS[grain]}_kept ({COLUMNS}) SELECT {COLUMNS} FROM telemetry_rollup(%s, %s, %s)",
        (WIDTHS[grain], start, end),
    )
    conn.execute("UPDATE telemetry_rollup_mark SET until = %s WHERE grain = %s", (end, grain))


def take_notes(conn: Connection, limit: int) -> int:
    """Move notes of kept hours into a table of this transaction's own; returns how many."""
    conn.execute(
        "CREATE TEMP TABLE IF NOT EXISTS rollup_touched (device_id text NOT NULL, hour timestamptz NOT NULL)"
        " ON COMMIT DELETE ROWS"
    )
    return conn.execute(
        "WITH taken AS (DELETE FROM telemetry_rollup_note WHERE note_id IN ("
        "  SELECT note_id FROM telemetry_rollup_note"
        "  WHERE hour < (SELECT until FROM telemetry_rollup_mark WHERE grain = 'hour')"
        "  ORDER BY note_id LIMIT %s) RETURNING device_id, hour)"
        " INSERT INTO rollup_touched SELECT DISTINCT device_id, hour FROM taken",
        (limit,),
    ).rowcount


def add_up_again(conn: Connection, grain: Grain, not_before: datetime) -> None:
    """Replace the kept rows of the hours (or their days) taken; those before ``not_before`` stay."""
    width = WIDTHS[grain]
    touched = (
        "SELECT DISTINCT device_id, date_bin(%(width)s, hour, '2000-01-01 00:00:00+00') AS bucket"
        " FROM rollup_touched"
    )
    told = {"width": width, "floor": not_before, "grain": grain}
    due = (
        f"(SELECT * FROM ({touched}) AS every WHERE bucket >= %(floor)s"
        " AND bucket < (SELECT until FROM telemetry_rollup_mark WHERE grain = %(grain)s)) AS due"
    )
    conn.execute(
        f"DELETE FROM {VIEWS[grain]}_kept AS kept USING {due}"
        " WHERE kept.device_id = due.device_id AND kept.bucket = due.bucket",
        told,
    )
    conn.execute(
        f"INSERT INTO {VIEWS[grain]}_kept ({COLUMNS}) SELECT r.* FROM {due},"
        " LATERAL telemetry_rollup_of_device("
        "%(width)s, due.device_id, due.bucket, due.bucket + %(width)s) AS r",
        told,
    )
