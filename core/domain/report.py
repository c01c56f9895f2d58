"""A report as the rules see it: one line of what a device said, at one moment."""

from __future__ import annotations

import msgspec

ALARMS = frozenset({
    "sos", "power_cut", "low_batt", "low_ext", "removal", "shell_open", "vibration", "displacement",
    "illegal_ignition", "tow", "jamming", "antenna_cut", "antenna_short", "crash", "rollover",
    "overspeed", "fence_in", "fence_out", "door", "sim_change", "unplug",
})  # fmt: skip
"""Alarm words of the wire schema (reference/telematics.md (f)). Unknown ones are kept, not judged."""


class Report(msgspec.Struct, frozen=True, gc=False):
    """One validated report of one device.

    ``t_ms`` is the event time: ``fix_time`` if the report has one, else ``device_time``; Unix
    milliseconds. ``(device_id, t_ms, boot_id, seq)`` is its identity. Positions are WGS-84
    degrees. ``None`` means the device did not say.
    """

    device_id: str
    t_ms: int
    boot_id: int
    seq: int
    type: str
    received_ms: int
    vehicle_id: str | None = None
    fix_ms: int | None = None
    device_ms: int | None = None
    fix_valid: bool = False
    lat: float | None = None
    lon: float | None = None
    speed_kmh: float | None = None
    heading_deg: float | None = None
    accuracy_m: float | None = None
    sat: int | None = None
    hdop: float | None = None
    fix_source: str | None = None
    ignition: bool | None = None
    motion: bool | None = None
    odometer_km: float | None = None
    ext_power_v: float | None = None
    ext_power_ok: bool | None = None
    batt_pct: float | None = None
    batt_v: float | None = None
    rssi_dbm: float | None = None
    mode: str | None = None
    next_report_s: int | None = None
    buffered: bool = False
    alarms: tuple[str, ...] = ()
    sha256: bytes = b""
    ext: bytes | None = None

    @property
    def order(self) -> tuple[int, str, int, int]:
        """Return the total order in which rules see the reports of a vehicle."""
        return (self.t_ms, self.device_id, self.boot_id, self.seq)

    @property
    def has_position(self) -> bool:
        """Whether the report is a *fix*: a valid position."""
        return self.fix_valid and self.lat is not None and self.lon is not None
