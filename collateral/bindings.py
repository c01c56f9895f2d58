"""Which vehicle a device was in at a moment: a table in memory for ingest, and its changes.

A binding holds over telemetry time [from, to). The first one of a device reaches back for ever, so that
recorded and late reports find their vehicle; a later one begins when the device was moved.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from collateral.devices import store
from core.errors import Conflict, NotFound
from core.events.store import emit

if TYPE_CHECKING:
    from core.db.pool import Connection

_EVER_MS = -(2**63)


@dataclass(frozen=True, slots=True)
class BoundDevice:
    """What ingest checks of a sender."""

    shard: int
    revoked: bool


# One device's bindings as sorted parallel columns: starts, ends (None: open), vehicles.
_Track = tuple[list[int], list[int | None], list[str]]


class Bindings:
    """All devices and bindings at one `version` (revision row `bindings`)."""

    __slots__ = ("_devices", "_tracks", "version")

    def __init__(
        self,
        version: int,
        devices: Sequence[tuple[str, int, bool]],
        bindings: Sequence[tuple[str, str, int | None, int | None]],
    ) -> None:
        """Index rows; ``bindings`` sorted by device and start."""
        self.version = version
        self._devices = {device_id: BoundDevice(shard, revoked) for device_id, shard, revoked in devices}
        self._tracks: dict[str, _Track] = {}
        for device_id, vehicle_id, from_ms, to_ms in bindings:
            starts, ends, vehicles = self._tracks.setdefault(device_id, ([], [], []))
            starts.append(_EVER_MS if from_ms is None else from_ms)
            ends.append(to_ms)
            vehicles.append(vehicle_id)

    def __len__(self) -> int:
        return len(self._devices)

    def device(self, device_id: str) -> BoundDevice | None:
        """Return a device, None when it is not registered."""
        return self._devices.get(device_id)

    def vehicle_at(self, device_id: str, t_ms: int) -> str | None:
        """Return the vehicle the device was in at Unix milliseconds, None when in none."""
        track = self._tracks.get(device_id)
        if track is None:
            return None
        starts, ends, vehicles = track
        index = bisect_right(starts, t_ms) - 1
        if index < 0:
            return None
        end = ends[index]
        return vehicles[index] if end is None or t_ms < end else None


def load(conn: Connection) -> Bindings:
    """Read every device and binding.

    The version is read first: a change between the statements then shows as a newer revision later,
    never as stale rows under a new number.
    """
    version = store.bindings_version(conn)
    return Bindings(version, store.device_rows(conn), store.binding_rows(conn))


@dataclass(frozen=True, slots=True)
class Placement:
    """Put a device into a vehicle; a known time of installation is the time of the move."""

    device_id: str
    vehicle_id: str
    installed_at: datetime | None = None


def bind(conn: Connection, placements: Sequence[Placement], *, at: datetime | None) -> list[str]:
    """Put devices into vehicles from telemetry time ``at``; returns the devices whose vehicle changed.

    A device's first vehicle is its vehicle since ever and needs no ``at``. Moving closes the old binding.

    Raises:
        NotFound: a device is not registered.
        Conflict: ``at`` is missing for a move, or not after the last change of the device.
    """
    device_ids = [placement.device_id for placement in placements]
    store.enrolments(conn, device_ids)
    current = store.open_bindings(conn, device_ids)
    ends: list[tuple[str, datetime]] = []
    rows: list[tuple[str, str, datetime | None, datetime | None]] = []
    for placement in placements:
        now = current.get(placement.device_id)
        if now is None:
            raise NotFound(f"Device {placement.device_id}: not registered", code="device_not_found")
        if now.vehicle_id == placement.vehicle_id:
            continue
        starts = None
        if now.bound_before:
            starts = _moment_of_change(now, placement.installed_at or at)
            if now.vehicle_id is not None:
                ends.append((placement.device_id, starts))
        rows.append((placement.device_id, placement.vehicle_id, starts, placement.installed_at))
    if ends:
        store.close_bindings(conn, ends)
    if rows:
        store.insert_bindings(conn, rows)
    for device_id, vehicle_id, starts, _ in rows:
        if current[device_id].created_before:
            _tell(conn, device_id, current[device_id].vehicle_id, vehicle_id, starts)
    return [row[0] for row in rows]


def unbind(conn: Connection, device_id: str, *, at: datetime) -> bool:
    """Take a device out of its vehicle; false when it was in none.

    Raises:
        NotFound: the device is not registered.
        Conflict: ``at`` is not after the binding's begin.
    """
    store.enrolments(conn, [device_id])
    now = store.open_bindings(conn, [device_id]).get(device_id)
    if now is None:
        raise NotFound(f"Device {device_id}: not registered", code="device_not_found")
    if now.vehicle_id is None:
        return False
    moment = _moment_of_change(now, at)
    store.close_bindings(conn, [(device_id, moment)])
    _tell(conn, device_id, now.vehicle_id, None, moment)
    return True


def _moment_of_change(now: store.OpenBinding, at: datetime | None) -> datetime:
    if at is None:
        raise Conflict(
            f"Device {now.device_id}: it was in a vehicle before; say since when it is in another",
            code="binding_needs_time",
            device_id=now.device_id,
        )
    begun = now.valid_from if now.vehicle_id is not None else None
    if begun is not None and at <= begun:
        raise Conflict(
            f"Device {now.device_id}: expected a time after {begun.isoformat()}, when it was bound, "
            f"was {at.isoformat()}",
            code="binding_out_of_order",
            device_id=now.device_id,
        )
    if now.last_end is not None and at < now.last_end:
        raise Conflict(
            f"Device {now.device_id}: expected a time from {now.last_end.isoformat()} on, when its last "
            f"binding ended, was {at.isoformat()}",
            code="binding_out_of_order",
            device_id=now.device_id,
        )
    return at


def _tell(
    conn: Connection, device_id: str, before: str | None, after: str | None, since: datetime | None
) -> None:
    emit(
        conn,
        "binding.changed",
        device_id,
        {
            "vehicle_before": before,
            "vehicle_after": after,
            "since": since.isoformat() if since is not None else None,
        },
    )
