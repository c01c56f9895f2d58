"""Devices: what reports, in which vehicle; their broker passwords are told once and never again."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Path, Query
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from api.auth import Asker
from api.board.devices import store
from api.deps import Conn, Who, Wired
from api.idempotency.once import OnlyOnce
from api.paging import Cursor, Limit, Page, cut, decode
from api.resources.vehicles import visible_vehicle
from collateral import bindings, provisioning
from collateral.domain import Power
from core.db.pool import Connection
from core.errors import NotFound
from core.events.store import emit
from core.telemetry.gaps import store as gaps

router = APIRouter(prefix="/devices", tags=["devices"])

CREDENTIALS_CHANGED = "device.credentials_changed"
"""Told to whoever keeps the broker's password file (`pledgewatch events`, `pledgewatch broker sync`)."""

DeviceId = Annotated[str, Path(pattern=r"^[A-Za-z0-9_-]{1,32}$")]
VehicleRef = Annotated[str, Field(min_length=1, max_length=64, pattern=r"^[^\x00-\x1f/]+$")]


class DeviceIn(BaseModel):
    """A device to be let in."""

    model_config = ConfigDict(extra="forbid")

    device_id: Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,32}$")]
    vehicle_id: VehicleRef | None = None
    power: Power = Power.WIRED


class BindingIn(BaseModel):
    """Into which vehicle a device was put, and when (telemetry time; null: now)."""

    model_config = ConfigDict(extra="forbid")

    vehicle_id: VehicleRef
    at: AwareDatetime | None = None


class CredentialOut(BaseModel):
    """What the device needs to connect. The password is shown here and nowhere else."""

    device_id: str
    shard: str
    username: str
    password: str


class DeviceOut(BaseModel):
    """A device and the last that was heard of it."""

    device_id: str
    shard: str
    power: str
    model: str | None
    vehicle_id: str | None
    plate: str | None
    bound_since: datetime | None
    revoked_at: datetime | None
    last_t: datetime | None
    last_received: datetime | None
    online: bool | None
    ext_power_v: float | None
    batt_pct: float | None
    rssi_dbm: float | None
    mode: str | None

    @classmethod
    def of(cls, row: store.DeviceRow) -> DeviceOut:
        """Build from a row."""
        return cls(
            device_id=row.device_id, shard=f"{row.shard:02x}", power=row.power, model=row.model,
            vehicle_id=row.vehicle_id, plate=row.plate, bound_since=row.bound_since,
            revoked_at=row.revoked_at, last_t=row.last_t, last_received=row.last_received,
            online=row.online, ext_power_v=row.ext_power_v, batt_pct=row.batt_pct,
            rssi_dbm=row.rssi_dbm, mode=row.mode,
        )  # fmt: skip


class GapOut(BaseModel):
    """Consecutive numbers of a boot that never came; ``state`` is open, overdue or closed."""

    gap_id: int
    boot_id: int
    from_seq: int
    to_seq: int
    missing: int
    after_t: datetime
    before_t: datetime
    opened_at: datetime
    closed_at: datetime | None
    state: str

    @classmethod
    def of(cls, row: gaps.GapRow) -> GapOut:
        """Build from a row."""
        return cls(**row._asdict(), state=row.state)


@router.get("")
def list_devices(
    conn: Conn,
    asker: Who,
    vehicle_id: Annotated[str | None, Query(max_length=64)] = None,
    limit: Limit = 100,
    cursor: Cursor = None,
) -> Page[DeviceOut]:
    """List the devices in vehicles of your branches, and (for the head office) those in none, by id."""
    after = decode(cursor, str)
    rows = store.devices(
        conn, asker.org_ids, vehicle_id=vehicle_id, device_id=None,
        after=str(after[0]) if after else None, limit=limit + 1,
    )  # fmt: skip
    shown, following = cut(rows, limit, lambda row: (row.device_id,))
    return Page(items=list(map(DeviceOut.of, shown)), next=following)


@router.get("/{device_id}")
def get_device(device_id: DeviceId, conn: Conn, asker: Who) -> DeviceOut:
    """Return one device."""
    return DeviceOut.of(_visible(conn, asker, device_id))


@router.get("/{device_id}/gaps")
def list_gaps(
    device_id: DeviceId,
    conn: Conn,
    asker: Who,
    closed: Annotated[bool, Query(description="Also those that were filled.")] = False,
    limit: Limit = 100,
    cursor: Cursor = None,
) -> Page[GapOut]:
    """List the gaps in a device's numbers, the newest first.

    ``after_t`` and ``before_t`` are the event times of the reports around a gap; a gap is overdue once
    the device cannot have kept its reports any more.
    """
    _visible(conn, asker, device_id)
    after = decode(cursor, int)
    rows = gaps.gaps(
        conn, device_id=device_id, open_only=not closed,
        before_id=int(after[0]) if after else None, limit=limit + 1,
    )  # fmt: skip
    shown, following = cut(rows, limit, lambda row: (row.gap_id,))
    return Page(items=list(map(GapOut.of, shown)), next=following)


@router.post("", status_code=201)
def add_device(body: DeviceIn, conn: Conn, asker: Who, once: OnlyOnce) -> CredentialOut:
    """Register a device and return its broker account; it can connect once the broker has been told."""
    if body.vehicle_id is not None:
        visible_vehicle(conn, asker, body.vehicle_id)
    if store.devices(conn, None, vehicle_id=None, device_id=body.device_id, after=None, limit=1):
        _visible(conn, asker, body.device_id)

    def make() -> _Told:
        emit(conn, CREDENTIALS_CHANGED, body.device_id)
        return _Told.of(
            provisioning.add_device(conn, body.device_id, body.vehicle_id, power=body.power.value)
        )

    return once(_Told, make).out()


@router.post("/{device_id}/rotate")
def rotate_device(device_id: DeviceId, conn: Conn, asker: Who) -> CredentialOut:
    """Give a device a new broker password."""
    _visible(conn, asker, device_id)
    emit(conn, CREDENTIALS_CHANGED, device_id)
    return _Told.of(provisioning.rotate(conn, device_id)).out()


@router.post("/{device_id}/revoke")
def revoke_device(device_id: DeviceId, conn: Conn, asker: Who) -> DeviceOut:
    """Shut a device out; twice is once."""
    _visible(conn, asker, device_id)
    if provisioning.revoke(conn, device_id):
        emit(conn, CREDENTIALS_CHANGED, device_id)
    return DeviceOut.of(_visible(conn, asker, device_id))


@router.put("/{device_id}/binding")
def bind_device(device_id: DeviceId, body: BindingIn, conn: Conn, asker: Who, services: Wired) -> DeviceOut:
    """Say in which vehicle a device is; a move ends the binding before."""
    _visible(conn, asker, device_id)
    visible_vehicle(conn, asker, body.vehicle_id)
    bindings.bind(conn, [bindings.Placement(device_id, body.vehicle_id)], at=body.at or services.clock.now())
    return DeviceOut.of(_visible(conn, asker, device_id))


class _Told(BaseModel):
    """A credential as an answer; a repeat of the command repeats everything but the password."""

    device_id: str
    shard: int
    username: str
    password: str = Field(exclude=True, default="")

    @classmethod
    def of(cls, credential: provisioning.Credential) -> _Told:
        return cls(
            device_id=credential.device_id, shard=credential.shard, username=credential.username,
            password=credential.password,
        )  # fmt: skip

    def out(self) -> CredentialOut:
        return CredentialOut(
            device_id=self.device_id,
            shard=f"{self.shard:02x}",
            username=self.username,
            password=self.password,
        )


def _visible(conn: Connection, asker: Asker, device_id: str) -> store.DeviceRow:
    rows = store.devices(conn, asker.org_ids, vehicle_id=None, device_id=device_id, after=None, limit=1)
    if not rows:
        raise NotFound(
            f"Expected a device of your branches, there is no {device_id}", code="device_not_found"
        )
    return rows[0]
