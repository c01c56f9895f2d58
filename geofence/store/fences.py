"""SQL of fences. A version is never changed but for its end; an edit is a new version."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

from psycopg.rows import dict_row
from psycopg.types.json import Jsonb

from core.clock import from_ms

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from core.db.pool import Connection

_COLUMNS = (
    "fence_id AS id, version, name, category, kind, shape AS wkb, radius_m, width_m, datum, scope,"
    " hysteresis_m, dwell_s, properties,"
    " CASE WHEN isfinite(valid_from) THEN (extract(epoch FROM valid_from) * 1000)::bigint END"
    " AS valid_from_ms,"
    " CASE WHEN isfinite(valid_to) THEN (extract(epoch FROM valid_to) * 1000)::bigint END"
    " AS valid_to_ms"
)


def all_versions(conn: Connection) -> list[dict[str, Any]]:
    """Return every version of every fence: late reports are judged by the fence of their time."""
    with conn.cursor(row_factory=dict_row) as cursor:
        return cursor.execute("SELECT " + _COLUMNS + " FROM fence ORDER BY fence_id, version").fetchall()


def lock_fences(conn: Connection) -> None:
    """Let one import run at a time, or two could give the same version number."""
    conn.execute("SELECT pg_advisory_xact_lock(7005, 0)")


def newest_versions(conn: Connection, fence_ids: Iterable[str]) -> dict[str, dict[str, Any]]:
    """Return the newest version of each fence that exists."""
    with conn.cursor(row_factory=dict_row) as cursor:
        rows = cursor.execute(
            "SELECT DISTINCT ON (fence_id) " + _COLUMNS + " FROM fence WHERE fence_id = ANY(%s)"
            " ORDER BY fence_id, version DESC",
            (list(fence_ids),),
        ).fetchall()
    return {row["id"]: row for row in rows}


def close_version(conn: Connection, fence_id: str, version: int, valid_to_ms: int) -> None:
    """End a version; one that would never have been in force ends a millisecond after it began."""
    conn.execute(
        "UPDATE fence SET valid_to = greatest(%s, valid_from + interval '1 millisecond')"
        " WHERE fence_id = %s AND version = %s AND valid_to = 'infinity'",
        (from_ms(valid_to_ms), fence_id, version),
    )


def add_version(
    conn: Connection,
    row: Mapping[str, Any],
    *,
    properties: Mapping[str, Any],
    valid_from_ms: int | None,
    created_by: str | None,
) -> None:
    """Add a version (a row of ``fence_to_row``); ``valid_from_ms`` None: it has always been so."""
    conn.execute(
        "INSERT INTO fence (fence_id, version, name, category, kind, shape, radius_m, width_m, datum, scope,"
        " hysteresis_m, dwell_s, valid_from, properties, created_by) VALUES (%(id)s, %(version)s, %(name)s,"
        " %(category)s, %(kind)s, %(wkb)s, %(radius_m)s, %(width_m)s, %(datum)s, %(scope)s, %(hysteresis_m)s,"
        " %(dwell_s)s, coalesce(%(since)s, '-infinity'::timestamptz), %(properties)s, %(created_by)s)",
        {
            **row,
            "since": None if valid_from_ms is None else from_ms(valid_from_ms),
            "properties": Jsonb(dict(properties)),
            "created_by": created_by,
        },
    )


def oldest_transaction(conn: Connection) -> datetime:
    """Return when the oldest transaction under way began: later searches look at what was written since."""
    row = conn.execute(
        "SELECT least(clock_timestamp(), min(xact_start)) FROM pg_stat_activity"
        " WHERE datname = current_database() AND pid <> pg_backend_pid()"
    ).fetchone()
    assert row is not None  # noqa: S101 - an aggregate without GROUP BY has one row
    moment: datetime = row[0]
    return moment


def first_inputs_in_box(
    conn: Connection,
    box: tuple[float, float, float, float],
    since_ms: int | None,
    written_after: datetime | None = None,
) -> dict[str, int]:
    """Return, for each vehicle that reported in a box (west, south, east, north), when it first did.

    ``written_after`` asks only about vehicles whose state was written since.
    """
    west, south, east, north = box
    rows = conn.execute(
        "SELECT vehicle_id, (extract(epoch FROM min(t)) * 1000)::bigint FROM telemetry"
        " WHERE vehicle_id IS NOT NULL AND lat BETWEEN %s AND %s AND lon BETWEEN %s AND %s"
        " AND t >= coalesce(%s, '-infinity'::timestamptz)"
        " AND (%s::timestamptz IS NULL OR vehicle_id = ANY ("
        "  ARRAY(SELECT s.vehicle_id FROM vehicle_state s WHERE s.updated_at >= %s))) GROUP BY vehicle_id",
        (
            south,
            north,
            west,
            east,
            None if since_ms is None else from_ms(since_ms),
            written_after,
            written_after,
        ),
    ).fetchall()
    return dict(rows)


def judged_since(conn: Connection, since_ms: int | None) -> list[str]:
    """Return the vehicles whose state has seen anything at or after a moment."""
    rows = conn.execute(
        "SELECT vehicle_id FROM vehicle_state WHERE through >= coalesce(%s, '-infinity'::timestamptz)",
        (None if since_ms is None else from_ms(since_ms),),
    ).fetchall()
    return [row[0] for row in rows]


def in_force(
    conn: Connection, now_ms: int, *, category: str | None, after: str | None, limit: int
) -> list[dict[str, Any]]:
    """Return the versions in force at a moment, by id; ``after`` is the last id of the page before."""
    with conn.cursor(row_factory=dict_row) as cursor:
        return cursor.execute(
            "SELECT DISTINCT ON (fence_id) " + _COLUMNS + " FROM fence"
            " WHERE valid_from <= %(now)s AND valid_to > %(now)s"
            " AND (%(category)s::text IS NULL OR category = %(category)s)"
            " AND (%(after)s::text IS NULL OR fence_id > %(after)s)"
            " ORDER BY fence_id, version DESC LIMIT %(limit)s",
            {"now": from_ms(now_ms), "category": category, "after": after, "limit": limit},
        ).fetchall()
