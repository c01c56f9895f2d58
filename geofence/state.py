"""What the engine remembers of a vehicle between reports: frozen, small, the same after any split.

Parts are replaced when they change and shared when they do not. ``to_bytes`` is msgpack by
position; append fields at the end with a default, or raise ``STATE_VERSION``: a state of another
version is refused and rebuilt from the reports.
"""

from __future__ import annotations

import msgspec

from core.errors import PledgewatchError

STATE_VERSION = 1


class Part(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A piece of the state, written as a msgpack array."""


class Fix(Part, frozen=True, array_like=True):
    """A position good enough to move the vehicle. ``error_m`` is what the device says of itself."""

    t_ms: int
    lat: float
    lon: float
    speed_kmh: float | None
    error_m: float
    device_id: str
    ignition: bool | None = None


class Member(Part, frozen=True, array_like=True):
    """A fence that the vehicle is in, or seems to enter; absent means out.

    ``crossed_ms`` is the interpolated moment at which fixes began to disagree with ``inside``
    (between ``before_ms`` and ``after_ms``); ``first_ms`` and ``count`` are the fixes beyond the band.
    """

    version: int
    inside: bool
    since_ms: int
    silent: bool = False
    crossed_ms: int | None = None
    before_ms: int = 0
    after_ms: int = 0
    first_ms: int | None = None
    count: int = 0
    lat: float = 0.0
    lon: float = 0.0


class Cluster(Part, frozen=True, array_like=True):
    """Fixes that lie together: a stay, or one in the making."""

    start_ms: int
    last_ms: int
    lat: float
    lon: float
    fixes: int
    radius_m: float


class Trip(Part, frozen=True, array_like=True):
    """A trip under way; ``told`` once its start was a finding."""

    start_ms: int
    distance_m: float
    max_kmh: float
    told: bool
    lat: float
    lon: float


class Motion(Part, frozen=True, array_like=True):
    """Phase unknown, moving, parked or departing (parked until the trip is long enough)."""

    phase: str = "unknown"
    cluster: Cluster | None = None
    before_cluster_m: float = 0.0
    stay: Cluster | None = None
    trip: Trip | None = None
    fast_ms: int | None = None
    fast_fixes: int = 0
    far_fixes: int = 0
    off_ms: int | None = None


class OfflineState(Part, frozen=True, array_like=True):
    """An open silence: its raise, and how many time-outs it has had."""

    raised_ms: int
    level: int
    messages_since: int = 0


class PowerState(Part, frozen=True, array_like=True):
    """Supply cut: pending from ``cut_ms``, open once raised, clearing from ``restored_ms``."""

    cut_ms: int
    by_alarm: bool = False
    reports: int = 1
    raised_ms: int | None = None
    restored_ms: int | None = None
    volts: float | None = None


class RemovedState(Part, frozen=True, array_like=True):
    """Removal flags: the last one, the first of those not confirmed yet, the last raise."""

    last_ms: int
    first_ms: int
    words: tuple[str, ...]
    raised_ms: int | None = None


class JammingState(Part, frozen=True, array_like=True):
    """The last good signal, a suspicion, and the open episode."""

    good_ms: int | None = None
    good_sat: int = 0
    good_rssi_dbm: float | None = None
    low_ms: int | None = None
    raised_ms: int | None = None
    last_ms: int = 0
    fine_ms: int | None = None


class DarkState(Part, frozen=True, array_like=True):
    """The silence for which TAMPER_THEN_DARK was raised last."""

    since_ms: int


class Undated(Part, frozen=True, array_like=True):
    """Alarms of reports without a plausible time, kept apart so that event order never depends on them.

    ``raised`` maps a rule to the latest moment of receipt at which it was raised.
    """

    last: tuple[int, int, int] = (-1, 0, 0)
    raised: dict[str, int] = {}


class DeviceState(Part, frozen=True, array_like=True):
    """What is remembered of one device. ``asked_ms`` is the silence about which a mark has already spoken."""

    last_ms: int = -1
    fix_ms: int = -1
    mode: str | None = None
    next_report_s: int | None = None
    ignition: bool | None = None
    stirred_ms: int = -(2**60)
    offline: OfflineState | None = None
    power: PowerState | None = None
    removed: RemovedState | None = None
    jamming: JammingState | None = None
    dark: DarkState | None = None
    undated: Undated | None = None
    asked_ms: int = -(2**60)

    @property
    def contact_ms(self) -> int:
        """Return when the device was last heard of, whatever its clock said."""
        return self.last_ms if self.undated is None else max(self.last_ms, self.undated.last[0])


class TowState(Part, frozen=True, array_like=True):
    """Ignition off since, where the vehicle stood then, and what speaks for a tow."""

    off_ms: int | None = None
    lat: float | None = None
    lon: float | None = None
    far_ms: int | None = None
    far_fixes: int = 0
    fast_ms: int | None = None
    raised_ms: int | None = None
    anchor_fixes: int = 0


class RegionState(Part, frozen=True, array_like=True):
    """Outside the allowed region (or yard): since when, and what was raised about it."""

    fence_id: str = ""
    out_ms: int | None = None
    fixes: int = 0
    raised_ms: int | None = None
    serious: bool = False
    back_ms: int | None = None


class RiskVisit(Part, frozen=True, array_like=True):
    """Stays at one risk place: the open one, and raises of the last days."""

    stay_ms: int
    raised_ms: int | None = None
    long_told: bool = False
    left_ms: int | None = None
    past: tuple[int, ...] = ()


class VehicleState(Part, frozen=True, array_like=True):
    """Everything the engine remembers of a vehicle. ``last`` is the order key of the newest input."""

    vehicle_id: str
    state_version: int = STATE_VERSION
    last: tuple[int, int, str, int, int, int] = (-(2**62), 0, "", 0, 0, 0)
    last_ms: int = -1
    fix: Fix | None = None
    held: Fix | None = None
    motion: Motion = Motion()
    members: dict[str, Member] = {}
    passes: dict[str, int] = {}
    devices: dict[str, DeviceState] = {}
    tow: TowState | None = None
    region: RegionState | None = None
    yard: RegionState | None = None
    risk: dict[str, RiskVisit] = {}
    stay_fences: tuple[str, ...] = ()
    ignition_seen: bool = False


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(VehicleState)


def to_bytes(state: VehicleState) -> bytes:
    """Return the state as msgpack."""
    return _encoder.encode(state)


def from_bytes(data: bytes) -> VehicleState:
    """Return the state of ``to_bytes``.

    Raises:
        PledgewatchError: of another version or not a state at all (``stale_state``): rebuild it.
    """
    try:
        state = _decoder.decode(data)
    except msgspec.DecodeError as exc:
        raise PledgewatchError(f"Expected a vehicle state, was not: {exc}", code="stale_state") from exc
    if state.state_version != STATE_VERSION:
        raise PledgewatchError(
            f"Expected state version {STATE_VERSION}, was {state.state_version}", code="stale_state"
        )
    return state


def initial_state(vehicle_id: str) -> VehicleState:
    """Return the state of a vehicle that nobody has heard of yet."""
    return VehicleState(vehicle_id)
