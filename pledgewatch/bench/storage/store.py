"""SQL of the storage bench."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from core.db.pool import Connection

LAST_POSITION = {
    "latest_table": "SELECT device_id, t, lat, lon FROM latest_position",
    "distinct_on": (
        "SELECT DISTINCT ON (device_id) device_id, t, lat, lon FROM telemetry"
        " WHERE fix_valid AND lat IS NOT NULL ORDER BY device_id, t DESC, boot_id DESC, seq DESC"
    ),
    # Backwards through the key, so that TimescaleDB can skip from device to device.
    "skip_scan": (
        "SELECT DISTINCT ON (device_id) device_id, t, lat, lon FROM telemetry"
        " WHERE fix_valid AND lat IS NOT NULL ORDER BY device_id DESC, t DESC, boot_id DESC, seq DESC"
    ),
    # Needs a list of the devices besides the reports.
    "lateral": (
        "SELECT d.device_id, p.t, p.lat, p.lon FROM device_status AS d, LATERAL ("
        " SELECT r.t, r.lat, r.lon FROM telemetry AS r WHERE r.device_id = d.device_id"
        " AND r.fix_valid AND r.lat IS NOT NULL ORDER BY r.t DESC, r.boot_id DESC, r.seq DESC"
        " LIMIT 1) AS p"
    ),
}
"""The last position of every device, four ways; each is summed up, so that no time goes into rows sent."""


class Answer(NamedTuple):
    """What a way of asking found; equal for all, or the bench is wrong."""

    devices: int
    newest: datetime
    latitudes: float


def add_round(conn: Connection, devices: int, seq: int, moment: datetime, period: timedelta) -> None:
    """Store one report of every device, spread over a period that begins at ``moment``."""
    conn.execute(
        "INSERT INTO telemetry (device_id, t, boot_id, seq, vehicle_id, type, received_at, fix_time,"
        " device_time, fix_valid, lat, lon, speed_kmh, heading_deg, accuracy_m, sat, hdop, ignition,"
        " odometer_km, ext_power_v, batt_pct, rssi_dbm, buffered, alarms, sha256)"
        " SELECT 'bench' || lpad(d::text, 7, '0'), at, 1, %(seq)s, 'car' || lpad(d::text, 7, '0'),"
        " 'position', at + interval '1 second', at, at, true, 30 + (d %% 1000) * 0.001 + %(seq)s * 0.0001,"
        " 117 + (d / 1000) * 0.001, 36, 90, 8, 11, 0.9, true, 1000 + %(seq)s, 13.8, 96, -71, false, '{}',"
        " sha256((d || ':' || %(seq)s)::bytea)"
        " FROM generate_series(1, %(devices)s) AS d,"
        " LATERAL (SELECT %(moment)s + (d::double precision / %(devices)s) * %(period)s::interval AS at)"
        " AS due",
        {"seq": seq, "devices": devices, "moment": moment, "period": period},
    )


def fill_latest(conn: Connection, seq: int) -> None:
    """Give every device its latest position and status, as ingest keeps them: those of the last round."""
    conn.execute(
        "INSERT INTO latest_position (device_id, vehicle_id, t, boot_id, seq, received_at, lat, lon,"
        " speed_kmh, heading_deg, accuracy_m, ignition, odometer_km)"
        " SELECT device_id, vehicle_id, t, boot_id, seq, received_at, lat, lon, speed_kmh, heading_deg,"
        " accuracy_m, ignition, odometer_km FROM telemetry WHERE seq = %s AND device_id LIKE 'bench%%'",
        (seq,),
    )
    conn.execute(
        "INSERT INTO device_status (device_id, last_t) SELECT device_id, t FROM latest_position"
        " ON CONFLICT DO NOTHING"
    )


def tidy(conn: Connection) -> None:
    """Do what autovacuum would have done."""
    for table in ("telemetry", "latest_position", "device_status"):
        conn.execute(f"VACUUM ANALYZE {table}".encode())


def last_positions(conn: Connection, way: str) -> Answer:
    """Find the last position of every device in one of the ways."""
    row = conn.execute(
        f"SELECT count(*), max(t), sum(lat) FROM ({LAST_POSITION[way]}) AS found".encode()
    ).fetchone()
    assert row is not None  # noqa: S101 - an aggregate has a row
    return Answer(row[0], row[1], round(row[2], 3))
