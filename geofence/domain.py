"""Inputs and outputs of the pure engine, besides reports and findings."""

from __future__ import annotations

from enum import StrEnum

import msgspec

BEGINNING_MS = -62_135_596_800_000
"""The first moment that PostgreSQL and Python can both hold (year 1): "replay everything"."""


class MarkKind(StrEnum):
    """Why a time mark was made."""

    SILENCE = "silence"
    DWELL = "dwell"


class TimeMark(msgspec.Struct, frozen=True, kw_only=True):
    """Passed time as an input: by ``due_ms`` nothing newer than ``since_ms`` had arrived.

    The sweeper stores marks and the engine reads them in event order beside the reports
    (a mark at ``due_ms`` comes after a report of the same millisecond), so that a replay finds
    what the live run found, and late reports inside (since_ms, due_ms] disprove the mark.
    ``device_id`` is empty for marks about the vehicle. ``level`` counts the time-outs of one silence.
    """

    vehicle_id: str
    device_id: str = ""
    kind: MarkKind
    since_ms: int
    due_ms: int
    level: int = 1


class Deadline(msgspec.Struct, frozen=True, kw_only=True):
    """A moment at which the sweeper has to look: becomes a time mark if nothing came meanwhile."""

    device_id: str = ""
    kind: MarkKind
    since_ms: int
    due_ms: int
    level: int = 1


class DeviceFacts(msgspec.Struct, frozen=True, kw_only=True):
    """What is known about a device while it is bound; seconds between expected reports."""

    device_id: str
    power: str = "wired"  # wired | wireless
    installed_ms: int = 0
    removed_ms: int | None = None
    moving_s: int = 30
    parked_s: int = 300
    sleep_s: int = 3600


class VehicleFacts(msgspec.Struct, frozen=True, kw_only=True):
    """What the registry knows about a vehicle that rules need: bindings over time, the rest as of now.

    ``collateral_form``: mortgage (抵押, not in possession), pledge (质押, in possession),
    lease_back, direct_lease. ``region_fence_ids``: fences the vehicle must stay inside (any of
    them). ``yard_fence_ids``: where a vehicle in possession is kept.
    """

    vehicle_id: str
    collateral_form: str = "mortgage"
    custody: str = "pledgor"  # pledgor | lender_yard | recovered | released
    region_fence_ids: tuple[str, ...] = ()
    yard_fence_ids: tuple[str, ...] = ()
    service_windows_ms: tuple[tuple[int, int], ...] = ()  # authorised work or tow, mutes tamper and tow
    devices: tuple[DeviceFacts, ...] = ()
