"""Values that the parts of the simulator hand to each other."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import msgspec


@dataclass(frozen=True, slots=True)
class FleetDevice:
    """A tracker; seconds between reports by mode."""

    device_id: str
    power: str = "wired"  # wired | wireless
    moving_s: int = 30
    parked_s: int = 300
    sleep_s: int = 3600


@dataclass(frozen=True, slots=True)
class FleetVehicle:
    """A pledged vehicle, with what a registry needs to know about it and its loan."""

    vehicle_id: str
    vin: str
    plate: str
    engine_no: str
    make: str
    model: str
    model_year: int
    first_registration: str  # ISO date
    colour: str
    collateral_form: str  # mortgage | pledge
    region_fence_ids: tuple[str, ...]
    yard_fence_ids: tuple[str, ...]
    devices: tuple[FleetDevice, ...]
    principal_minor: int  # CNY fen
    balance_minor: int
    days_past_due: int
    borrower: str


@dataclass(frozen=True, slots=True)
class Label:
    """An alert that ought to come: (vehicle, rule, scope) within an incident."""

    vehicle_id: str
    kind: str
    start_ms: int
    end_ms: int
    rule: str
    scope: str


class DeviceReport(msgspec.Struct, frozen=True, gc=False):
    """One report as its device sends it: ``body`` is the JSON object, ``kind`` the topic's last part.

    ``send_ms`` is when the device hands it to the network; ``t_ms`` when it happened. A repeat has
    the same body and a later ``send_ms``.
    """

    send_ms: int
    t_ms: int
    vehicle_id: str
    device_id: str
    boot_id: int
    seq: int
    kind: str
    body: bytes

    @property
    def sha256(self) -> str:
        """Return the fingerprint of the report's own bytes, as `ingest check` computes it."""
        return hashlib.sha256(self.body).hexdigest()

    @property
    def send_order(self) -> tuple[int, str, int]:
        """Return the total order in which the fleet sends."""
        return (self.send_ms, self.device_id, self.seq)


@dataclass(frozen=True, slots=True)
class Credential:
    """What a device signs in with."""

    device_id: str
    shard: int
    username: str
    password: str
