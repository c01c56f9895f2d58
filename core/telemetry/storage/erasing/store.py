"""SQL of erasure. A scope's column is one of two constants; its values are parameters."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any
from uuid import UUID

from psycopg.types.json import Jsonb

from core.telemetry.storage.rollups.store import VIEWS, WIDTHS, Grain, rollup_table

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from core.db.pool import Connection
    from core.telemetry.storage.erasing.domain import Scope

REPORT_TABLES = ("telemetry", "telemetry_held", "telemetry_undated", "latest_position")
_COLUMNS = {"device": "device_id", "vehicle": "vehicle_id"}


def _where(scope: Scope) -> str:
    return f"r.{_COLUMNS[scope.subject]} = %(id)s AND r.t >= %(start)s AND r.t < %(end)s"


def _told(scope: Scope) -> dict[str, Any]:
    return {"id": scope.subject_id, "start": scope.start, "end": scope.end}


def _rolled(scope: Scope, grain: Grain) -> str:
    """Return which rollups go: those wholly in the period, and those touched whose reports were dropped."""
    width = f"interval '1 {grain}'"
    return (
        f"r.{_COLUMNS[scope.subject]} = %(id)s AND (r.bucket >= %(start)s AND r.bucket + {width} <= %(end)s"
        f" OR r.bucket < %(reports_from)s AND r.bucket + {width} > %(start)s AND r.bucket < %(end)s)"
    )


def open_columnstore(conn: Connection) -> None:
    """Let this transaction unpack as many compressed rows as it takes (nothing on plain PostgreSQL)."""
    conn.execute("SELECT set_config('timescaledb.max_tuples_decompressed_per_dml_transaction', '0', true)")


def concerned(conn: Connection, scope: Scope, reports_from: datetime) -> tuple[list[str], list[str]]:
    """Return the devices and the vehicles that the scope's reports name, and its rollups that would go."""
    tables = " UNION ".join(
        f"SELECT r.device_id, r.vehicle_id FROM {table} AS r WHERE {where}"
        for table, where in (
            *((table, _where(scope)) for table in REPORT_TABLES),
            *((rollup_table(conn, grain), _rolled(scope, grain)) for grain in VIEWS),
        )
    )
    row = conn.execute(
        "SELECT coalesce(array_agg(DISTINCT device_id ORDER BY device_id), '{}'),"
        " coalesce(array_agg(DISTINCT vehicle_id ORDER BY vehicle_id) FILTER (WHERE vehicle_id IS NOT NULL),"
        f" '{{}}') FROM ({tables}) AS told",
        _told(scope) | {"reports_from": reports_from},
    ).fetchone()
    return (list(row[0]), list(row[1])) if row else ([], [])


def holds_over(conn: Connection, vehicles: Sequence[str], scope: Scope) -> list[int]:
    """Return the holds in force that cover part of the period for one of the vehicles."""
    rows = conn.execute(
        "SELECT hold_id FROM telemetry_hold WHERE released_at IS NULL AND vehicle_id = ANY(%(vehicles)s)"
        " AND held_from < %(end)s AND held_until > %(start)s ORDER BY hold_id",
        _told(scope) | {"vehicles": list(vehicles)},
    ).fetchall()
    return [hold_id for (hold_id,) in rows]


def count(conn: Connection, scope: Scope) -> dict[str, int]:
    """Return how many rows of each table are in the scope."""
    counts = {}
    for table in REPORT_TABLES:
        row = conn.execute(
            f"SELECT count(*) FROM {table} AS r WHERE {_where(scope)}", _told(scope)
        ).fetchone()
        counts[table] = int(row[0]) if row else 0
    return counts


def delete_reports(conn: Connection, scope: Scope) -> dict[str, int]:
    """Delete the scope's rows of each table; returns how many."""
    return {
        table: conn.execute(f"DELETE FROM {table} AS r WHERE {_where(scope)}", _told(scope)).rowcount
        for table in REPORT_TABLES
    }


def delete_rollups(conn: Connection, scope: Scope, grain: Grain, reports_from: datetime) -> int:
    """Delete the rollups of hours or days wholly in the period, and of those whose reports were dropped.

    What is partly in the period and has reports is added up again from those that are left.
    """
    return conn.execute(
        f"DELETE FROM {rollup_table(conn, grain)} AS r WHERE {_rolled(scope, grain)}",
        _told(scope) | {"reports_from": reports_from},
    ).rowcount


def count_rollups(conn: Connection, scope: Scope, grain: Grain) -> int:
    """Return how many hours or days the period touches."""
    row = conn.execute(
        f"SELECT count(*) FROM {VIEWS[grain]} AS r WHERE r.{_COLUMNS[scope.subject]} = %(id)s"
        " AND r.bucket + %(width)s > %(start)s AND r.bucket < %(end)s",
        _told(scope) | {"width": WIDTHS[grain]},
    ).fetchone()
    return int(row[0]) if row else 0


def restore_latest(conn: Connection, devices: Sequence[str]) -> None:
    """Give devices whose latest position went the newest fix that is left."""
    conn.execute(
        "INSERT INTO latest_position (device_id, vehicle_id, t, boot_id, seq, received_at, lat, lon,"
        " speed_kmh, heading_deg, accuracy_m, ignition, odometer_km)"
        " SELECT newest.* FROM unnest(%s::text[]) AS gone(device_id), LATERAL ("
        "  SELECT r.device_id, r.vehicle_id, r.t, r.boot_id, r.seq, r.received_at, r.lat, r.lon,"
        "   r.speed_kmh, r.heading_deg, r.accuracy_m, r.ignition, r.odometer_km FROM telemetry AS r"
        "  WHERE r.device_id = gone.device_id AND r.fix_valid AND r.lat IS NOT NULL AND r.lon IS NOT NULL"
        "  ORDER BY r.t DESC, r.boot_id DESC, r.seq DESC LIMIT 1) AS newest"
        " ON CONFLICT (device_id) DO NOTHING",
        (list(devices),),
    )


def record(
    conn: Connection, scope: Scope, reason: str, by: str, counts: Mapping[str, int], vehicles: Sequence[str]
) -> UUID:
    """Write who erased what, and return the row's id."""
    row = conn.execute(
        "INSERT INTO telemetry_erasure"
        " (subject, subject_id, erased_from, erased_until, reason, erased_by, counts, vehicles)"
        " VALUES (%s, %s, %s, %s, %s, %s, %s, %s) RETURNING erasure_id",
        (
            scope.subject, scope.subject_id, scope.start, scope.end, reason, by, Jsonb(dict(counts)),
            list(vehicles),
        ),
    ).fetchone()  # fmt: skip
    assert row is not None  # noqa: S101 - RETURNING of an insert has a row
    erasure_id: UUID = row[0]
    return erasure_id
