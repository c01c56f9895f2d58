"""Reading reports back: for the replayer, the tracks on the map, and the latest positions."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

from core.clock import from_ms, to_ms
from core.db.arrays import moment_array, text_array
from core.domain.report import Report

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from core.db.pool import Connection

REPORT_COLUMNS = (
    "device_id, t, boot_id, seq, vehicle_id, type, received_at, fix_time, device_time, fix_valid, lat, lon, "
    "speed_kmh, heading_deg, accuracy_m, sat, hdop, fix_source, ignition, motion, odometer_km, ext_power_v, "
    "ext_power_ok, batt_pct, batt_v, rssi_dbm, mode, next_report_s, buffered, alarms, sha256"
)


def _optional_ms(moment: datetime | None) -> int | None:
    return None if moment is None else to_ms(moment)


def report_from_row(row: Sequence[Any]) -> Report:
    """Build a report from a row of ``REPORT_COLUMNS``."""
    device_id, t, boot_id, seq, vehicle_id, kind, received_at, fix_time, device_time, *rest = row
    *values, alarms, sha256 = rest
    fields: list[Any] = [
        device_id, to_ms(t), boot_id, seq, kind, to_ms(received_at), vehicle_id,
        _optional_ms(fix_time), _optional_ms(device_time), *values, tuple(alarms), bytes(sha256),
    ]  # fmt: skip
    return Report(*fields)


def reports_of_vehicle(
    conn: Connection, vehicle_id: str, after_ms: int | None = None, until_ms: int | None = None
) -> list[Report]:
    """Return the dated reports of a vehicle with after_ms < t <= until_ms, in ``Report.order``."""
    rows = conn.execute(
        f"SELECT {REPORT_COLUMNS} FROM telemetry"
        " WHERE vehicle_id = %s AND t > coalesce(%s, '-infinity'::timestamptz)"
        " AND t <= coalesce(%s, 'infinity'::timestamptz)",
        (
            vehicle_id,
            None if after_ms is None else from_ms(after_ms),
            None if until_ms is None else from_ms(until_ms),
        ),
    ).fetchall()
    return sorted(map(report_from_row, rows), key=lambda report: report.order)


def undated_of_vehicle(conn: Connection, vehicle_id: str, after_ms: int | None = None) -> list[Report]:
    """Return the undated reports judged at ``received_at`` (their ``t``), in ``Report.order``."""
    rows = conn.execute(
        f"SELECT {REPORT_COLUMNS} FROM telemetry_undated"
        " WHERE vehicle_id = %s AND t > coalesce(%s, '-infinity'::timestamptz)",
        (vehicle_id, None if after_ms is None else from_ms(after_ms)),
    ).fetchall()
    return sorted(map(report_from_row, rows), key=lambda report: report.order)


def reports_after(conn: Connection, after_ms: Mapping[str, int]) -> list[Report]:
    """Return the dated reports of many vehicles, each from a moment of its own on (exclusive)."""
    return _of_many(conn, "telemetry", after_ms)


def undated_after(conn: Connection, after_ms: Mapping[str, int]) -> list[Report]:
    """Return the same of the undated reports, by ``received_at``."""
    return _of_many(conn, "telemetry_undated", after_ms)


def _of_many(conn: Connection, table: str, after_ms: Mapping[str, int]) -> list[Report]:
    rows = conn.execute(
        f"SELECT r.* FROM unnest(%b::text[], %b::timestamptz[]) AS v(id, since) CROSS JOIN LATERAL"
        f" (SELECT {REPORT_COLUMNS} FROM {table} WHERE vehicle_id = v.id AND t > v.since) AS r",
        (text_array(list(after_ms)), moment_array(list(after_ms.values()))),
    ).fetchall()
    return list(map(report_from_row, rows))


def track(conn: Connection, vehicle_id: str, start: datetime, end: datetime, limit: int) -> list[Report]:
    """Return at most ``limit`` valid fixes of a vehicle in [start, end), oldest first."""
    which = "WHERE vehicle_id = %(v)s AND t >= %(start)s AND t < %(end)s AND fix_valid AND lat IS NOT NULL"
    in_order = "ORDER BY t, device_id, boot_id, seq LIMIT %(limit)s"
    # Reports under a hold outlive their day in a table of their own (core/telemetry/storage/retention);
    # while the day is being dropped they are in both.
    only_there = (
        "AND NOT EXISTS (SELECT FROM telemetry AS r WHERE (r.device_id, r.t, r.boot_id, r.seq)"
        " = (held.device_id, held.t, held.boot_id, held.seq))"
    )
    rows = conn.execute(
        f"(SELECT {REPORT_COLUMNS} FROM telemetry {which} {in_order}) UNION ALL"
        f" (SELECT {REPORT_COLUMNS} FROM telemetry_held AS held {which} {only_there} {in_order}) {in_order}",
        {"v": vehicle_id, "start": start, "end": end, "limit": limit},
    ).fetchall()
    return list(map(report_from_row, rows))


def watermark(conn: Connection) -> datetime | None:
    """Return telemetry time up to which every slot has stored what the broker accepted; None: not known."""
    row = conn.execute("SELECT min(received_until) FROM time_watermark").fetchone()
    return row[0] if row else None


def newest_event_time(conn: Connection) -> datetime | None:
    """Return the greatest event time any device is known by; None before the first report."""
    row = conn.execute("SELECT max(last_t) FROM device_status").fetchone()
    return row[0] if row else None
