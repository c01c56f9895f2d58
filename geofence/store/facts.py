"""SQL of what the rules need to know about vehicles, and of the numbers that say a cache is old."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Collection

    from core.db.pool import Connection


@dataclass(frozen=True, slots=True)
class Revisions:
    """Versions of the cached sets; equal numbers mean nothing changed."""

    bindings: int
    facts: int
    fences: int
    thresholds: int


def revisions(conn: Connection) -> Revisions:
    """Return the versions as the caller's transaction sees them, and keep the fences from changing in it.

    An edit of fences waits for batches that are being judged by the old ones, and a batch for an
    edit; else a first report inside a new fence could slip between the edit's search for vehicles
    to judge again and its commit. The lock is shared: batches do not wait for each other.
    """
    conn.execute("SELECT version FROM revision WHERE name = 'fences' FOR SHARE")
    rows: dict[str, int] = dict(conn.execute("SELECT name, version FROM revision").fetchall())
    return Revisions(rows["bindings"], rows["facts"], rows["fences"], rows["thresholds"])


def vehicles(conn: Connection, vehicle_ids: Collection[str]) -> dict[str, tuple[str, str]]:
    """Return (custody, collateral form) of registered vehicles.

    Of several loans that still run, one with possession (pledge) wins: the vehicle stands in a yard.
    """
    rows = conn.execute(
        "SELECT v.vehicle_id, v.custody, coalesce(l.collateral_form, 'mortgage') FROM vehicle v"
        " LEFT JOIN LATERAL ("
        "  SELECT collateral_form FROM loan"
        "  WHERE loan.vehicle_id = v.vehicle_id AND status NOT IN ('paid', 'written_off')"
        "  ORDER BY collateral_form = 'pledge' DESC, snapshot_at DESC, loan_id LIMIT 1"
        " ) l ON true WHERE v.vehicle_id = ANY(%s)",
        (list(vehicle_ids),),
    ).fetchall()
    return {row[0]: (row[1], row[2]) for row in rows}


def assignments(conn: Connection, vehicle_ids: Collection[str]) -> list[tuple[str, str, str]]:
    """Return (vehicle, role, fence) of fences assigned to single vehicles."""
    return conn.execute(
        "SELECT vehicle_id, role, fence_id FROM fence_assignment WHERE vehicle_id = ANY(%s)"
        " ORDER BY vehicle_id, role, fence_id",
        (list(vehicle_ids),),
    ).fetchall()


def devices(conn: Connection, vehicle_ids: Collection[str]) -> list[tuple[Any, ...]]:
    """Return one row per binding: vehicle, device, power, moving_s, parked_s, sleep_s, from_ms, until_ms.

    ``until_ms`` is None while the device is bound and not revoked; the newest binding comes last.
    """
    return conn.execute(
        "SELECT b.vehicle_id, d.device_id, d.power, d.moving_s, d.parked_s, d.sleep_s,"
        " CASE WHEN isfinite(coalesce(b.installed_at, b.valid_from))"
        "  THEN (extract(epoch FROM coalesce(b.installed_at, b.valid_from)) * 1000)::bigint ELSE 0 END,"
        " CASE WHEN isfinite(least(b.valid_to, d.revoked_at))"
        "  THEN (extract(epoch FROM least(b.valid_to, d.revoked_at)) * 1000)::bigint END"
        " FROM device_binding b JOIN device d USING (device_id)"
        " WHERE b.vehicle_id = ANY(%s) ORDER BY b.vehicle_id, d.device_id, b.valid_from",
        (list(vehicle_ids),),
    ).fetchall()


def threshold_numbers(conn: Connection) -> tuple[str, dict[str, Any]] | None:
    """Return the version and the numbers of the newest threshold set; None: the built-in ones hold."""
    row = conn.execute(
        "SELECT version, numbers FROM threshold_set ORDER BY created_at DESC, version DESC LIMIT 1"
    ).fetchone()
    return None if row is None else (row[0], row[1])
