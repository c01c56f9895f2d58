"""SQL of devices and of the bindings between devices and vehicles."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from collateral.domain import Device, UpsertCounts
from collateral.records import as_json, counted

if TYPE_CHECKING:
    from core.db.pool import Connection

_KEPT = ("power", "model", "sim_iccid", "moving_s", "parked_s", "sleep_s")

_UPSERT = f"""
INSERT INTO device AS d (device_id, shard, power, model, sim_iccid, moving_s, parked_s, sleep_s)
SELECT r.device_id, r.shard, coalesce(r.power, old.power, 'wired'), r.model, r.sim_iccid,
       coalesce(r.moving_s, old.moving_s, 30), coalesce(r.parked_s, old.parked_s, 300),
       coalesce(r.sleep_s, old.sleep_s,
                CASE coalesce(r.power, old.power) WHEN 'wireless' THEN 86400 ELSE 3600 END)
FROM jsonb_to_recordset(%s::jsonb) AS r(
       device_id text, shard smallint, power text, model text, sim_iccid text, moving_s integer,
       parked_s integer, sleep_s integer)
LEFT JOIN device old USING (device_id)
ORDER BY r.device_id
ON CONFLICT (device_id) DO UPDATE SET
    {", ".join(f"{name} = coalesce(EXCLUDED.{name}, d.{name})" for name in _KEPT)}
WHERE ({", ".join(f"d.{name}" for name in _KEPT)}) IS DISTINCT FROM
      ({", ".join(f"coalesce(EXCLUDED.{name}, d.{name})" for name in _KEPT)})
RETURNING (xmax = 0)
"""


@dataclass(frozen=True, slots=True)
class Enrolment:
    """What enrolment needs to know of a stored device."""

    device_id: str
    shard: int
    has_password: bool
    revoked: bool


@dataclass(frozen=True, slots=True)
class OpenBinding:
    """The vehicle a device is in, since when, and whether the device had another one before."""

    device_id: str
    vehicle_id: str | None
    valid_from: datetime | None
    last_end: datetime | None
    bound_before: bool
    created_before: bool


def upsert_devices(conn: Connection, devices: Sequence[tuple[Device, int]]) -> UpsertCounts:
    """Write (device, shard) pairs; a stored shard stays, a column that is None keeps what is stored."""
    if not devices:
        return UpsertCounts()
    rows = [{**asdict(device), "shard": shard} for device, shard in devices]
    return counted(len(devices), conn.execute(_UPSERT, (as_json(rows),)).fetchall())


def enrolments(conn: Connection, device_ids: Sequence[str]) -> dict[str, Enrolment]:
    """Return the stored ones of these devices, held against other writers until the transaction ends.

    Locked in id order, so that two batches about the same devices wait instead of dead-locking.
    """
    rows = conn.execute(
        "SELECT device_id, shard, password_hash IS NOT NULL, revoked_at IS NOT NULL FROM device"
        " WHERE device_id = ANY(%s) ORDER BY device_id FOR UPDATE",
        (list(device_ids),),
    ).fetchall()
    return {row[0]: Enrolment(*row) for row in rows}


def set_password_hashes(conn: Connection, hashes: Sequence[tuple[str, str]]) -> int:
    """Set (device, hash) pairs and lift a revocation; returns how many devices there were."""
    done = conn.execute(
        "UPDATE device d SET password_hash = r.password_hash, revoked_at = NULL"
        " FROM unnest(%s::text[], %s::text[]) AS r(device_id, password_hash)"
        " WHERE d.device_id = r.device_id",
        ([device_id for device_id, _ in hashes], [password_hash for _, password_hash in hashes]),
    )
    return done.rowcount


def revoke_device(conn: Connection, device_id: str) -> bool:
    """Take a device's access away; false when it had none to lose."""
    done = conn.execute(
        "UPDATE device SET revoked_at = now(), password_hash = NULL"
        " WHERE device_id = %s AND revoked_at IS NULL",
        (device_id,),
    )
    return done.rowcount == 1


def broker_accounts(conn: Connection) -> list[tuple[str, str]]:
    """Return (username, hash) of every device that may connect."""
    return [
        (row[0], row[1])
        for row in conn.execute(
            "SELECT device_id, password_hash FROM device"
            " WHERE password_hash IS NOT NULL AND revoked_at IS NULL ORDER BY device_id"
        )
    ]


def bindings_version(conn: Connection) -> int:
    """Return the number that changes with every change of a device or binding."""
    row = conn.execute("SELECT version FROM revision WHERE name = 'bindings'").fetchone()
    return int(row[0]) if row else 0


def device_rows(conn: Connection) -> list[tuple[str, int, bool]]:
    """Return (device, shard, revoked) of every device."""
    cursor = conn.cursor(binary=True)
    return cursor.execute("SELECT device_id, shard, revoked_at IS NOT NULL FROM device").fetchall()


def binding_rows(conn: Connection) -> list[tuple[str, str, int | None, int | None]]:
    """Return (device, vehicle, from_ms, to_ms) by device and time; None is for ever.

    Bounds are rounded up to whole milliseconds: event times are whole milliseconds rounded down, so
    `from_ms <= t_ms < to_ms` then says exactly what the exact times say.
    """
    cursor = conn.cursor(binary=True)
    return cursor.execute(
        "SELECT device_id, vehicle_id,"
        " CASE WHEN isfinite(valid_from) THEN ceil(extract(epoch FROM valid_from) * 1000)::bigint END,"
        " CASE WHEN isfinite(valid_to) THEN ceil(extract(epoch FROM valid_to) * 1000)::bigint END"
        " FROM device_binding ORDER BY device_id, valid_from"
    ).fetchall()


def open_bindings(conn: Connection, device_ids: Sequence[str]) -> dict[str, OpenBinding]:
    """Return where each of these devices is now, and until when it was elsewhere."""
    rows = conn.execute(
        "SELECT d.device_id, o.vehicle_id, nullif(o.valid_from, '-infinity'),"
        " (SELECT max(valid_to) FROM device_binding b"
        "  WHERE b.device_id = d.device_id AND isfinite(valid_to)),"
        " EXISTS (SELECT FROM device_binding b WHERE b.device_id = d.device_id),"
        " d.created_at < now()"
        " FROM device d LEFT JOIN device_binding o ON o.device_id = d.device_id AND o.valid_to = 'infinity'"
        " WHERE d.device_id = ANY(%s)",
        (list(device_ids),),
    ).fetchall()
    return {row[0]: OpenBinding(*row) for row in rows}


def close_bindings(conn: Connection, ends: Sequence[tuple[str, datetime]]) -> int:
    """End the open bindings of (device, moment) pairs."""
    done = conn.execute(
        "UPDATE device_binding b SET valid_to = r.ends"
        " FROM unnest(%s::text[], %s::timestamptz[]) AS r(device_id, ends)"
        " WHERE b.device_id = r.device_id AND b.valid_to = 'infinity'",
        ([device_id for device_id, _ in ends], [moment for _, moment in ends]),
    )
    return done.rowcount


def insert_bindings(
    conn: Connection, bindings: Sequence[tuple[str, str, datetime | None, datetime | None]]
) -> None:
    """Open (device, vehicle, from, installed at) bindings; from None is since ever."""
    conn.execute(
        "INSERT INTO device_binding (device_id, vehicle_id, valid_from, installed_at)"
        " SELECT device_id, vehicle_id, coalesce(starts, '-infinity'), installed_at"
        " FROM unnest(%s::text[], %s::text[], %s::timestamptz[], %s::timestamptz[])"
        " AS r(device_id, vehicle_id, starts, installed_at)",
        tuple([row[index] for row in bindings] for index in range(4)),
    )


def spans(conn: Connection, device_id: str) -> list[tuple[str, datetime, datetime]]:
    """Return (vehicle, from, to) of every binding of a device, by time; unbounded ends are datetime's own."""
    rows = conn.execute(
        "SELECT vehicle_id, greatest(valid_from, '0001-01-02'), least(valid_to, '9999-12-30')"
        " FROM device_binding WHERE device_id = %s ORDER BY valid_from",
        (device_id,),
    ).fetchall()
    return [(row[0], row[1], row[2]) for row in rows]
