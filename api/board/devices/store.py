"""SQL of the device list."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from psycopg.rows import class_row

if TYPE_CHECKING:
    from core.db.pool import Connection


@dataclass(frozen=True, slots=True)
class DeviceRow:
    """A device, where it is, and its last words."""

    device_id: str
    shard: int
    power: str
    model: str | None
    vehicle_id: str | None
    plate: str | None
    org_id: str
    bound_since: datetime | None
    revoked_at: datetime | None
    last_t: datetime | None
    last_received: datetime | None
    online: bool | None
    ext_power_v: float | None
    batt_pct: float | None
    rssi_dbm: float | None
    mode: str | None


def devices(
    conn: Connection,
    org_ids: Sequence[str] | None,
    *,
    vehicle_id: str | None,
    device_id: str | None,
    after: str | None,
    limit: int,
) -> list[DeviceRow]:
    """Return devices by id; one that is in no vehicle belongs to the head office."""
    with conn.cursor(row_factory=class_row(DeviceRow)) as cur:
        return cur.execute(
            "SELECT d.device_id, d.shard, d.power, d.model, b.vehicle_id, v.plate,"
            " coalesce(v.org_id, 'head') AS org_id, nullif(b.valid_from, '-infinity') AS bound_since,"
            " d.revoked_at,"
            " s.last_t, s.last_received, s.online, s.ext_power_v, s.batt_pct, s.rssi_dbm, s.mode"
            " FROM device d"
            " LEFT JOIN device_binding b ON b.device_id = d.device_id AND b.valid_to = 'infinity'"
            " LEFT JOIN vehicle v USING (vehicle_id) LEFT JOIN device_status s ON s.device_id = d.device_id"
            " WHERE (%(orgs)s::text[] IS NULL OR coalesce(v.org_id, 'head') = ANY(%(orgs)s))"
            " AND (%(vehicle)s::text IS NULL OR b.vehicle_id = %(vehicle)s)"
            " AND (%(device)s::text IS NULL OR d.device_id = %(device)s)"
            " AND (%(after)s::text IS NULL OR d.device_id > %(after)s) ORDER BY d.device_id LIMIT %(limit)s",
            {
                "orgs": None if org_ids is None else list(org_ids),
                "vehicle": vehicle_id,
                "device": device_id,
                "after": after,
                "limit": limit,
            },
        ).fetchall()
