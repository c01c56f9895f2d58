"""A tracker: numbers its reports, stamps them, and holds them back where there is no signal."""

from __future__ import annotations

import random

import msgspec

from core.clock import from_ms
from core.wire import VERSION
from simulator.domain import DeviceReport, FleetDevice, FleetVehicle

REPEAT_ONE_IN = 220
REPEAT_AFTER_MS = (4_000, 90_000)
LATENCY_MS = (250, 1_900)
UPLOAD_MS = 6_000  # how long a held-back batch takes to go out
NEWEST_FIRST_SHARE = 0.3
_encode = msgspec.json.Encoder().encode


def rfc3339(moment_ms: int) -> str:
    """Return the wire form of a time: UTC, milliseconds."""
    return from_ms(moment_ms).isoformat(timespec="milliseconds")[:-6] + "Z"


class Tracker:
    """The sending half of a device; ``outbox`` fills in event order, each with its send time."""

    def __init__(self, vehicle: FleetVehicle, device: FleetDevice, seed: int) -> None:
        self.rng = random.Random(f"device:{seed}:{device.device_id}")
        self.device = device
        self.vehicle_id = vehicle.vehicle_id
        self.boot_id = self.rng.randint(1, 180)
        self.seq = self.rng.randint(100, 90_000)
        # The real-time clock of the device; positions carry the satellites' time instead.
        self.clock_error_ms = (
            int(self.rng.gauss(0, 700)) if self.rng.random() < 0.95 else self.rng.randint(2_000, 20_000)
        )
        self.outbox: list[DeviceReport] = []
        self._gap: tuple[int, int] | None = None
        self._newest_first = False

    def lose_signal(self, start_ms: int, end_ms: int) -> None:
        """Hold reports back between two moments; they go out at the end."""
        self._gap = (start_ms, end_ms)
        self._newest_first = self.rng.random() < NEWEST_FIRST_SHARE

    def reboot(self) -> None:
        """Start anew: another boot, the numbering goes on."""
        self.boot_id += 1

    def report(self, t_ms: int, fields: dict[str, object], *, type_: str = "position") -> None:
        """Write one report; ``fields`` without a fix get no ``fix_time``."""
        rng = self.rng
        send_ms, buffered = self._send_time(t_ms)
        self.seq += 1
        message: dict[str, object] = {
            "v": VERSION, "device_id": self.device.device_id, "type": type_, "boot_id": self.boot_id,
            "seq": self.seq,
        }  # fmt: skip
        if "lat" in fields:
            message["fix_time"] = rfc3339(t_ms)
            message["device_time"] = rfc3339(send_ms + self.clock_error_ms)
        else:
            # No satellites, no satellite time: the device's own clock dates the event.
            t_ms += self.clock_error_ms
            message["device_time"] = rfc3339(t_ms)
        if buffered:
            message["buffered"] = True
        message |= fields
        message["rssi_dbm"] = message.get("rssi_dbm", -rng.randint(62, 97))
        report = DeviceReport(
            send_ms=send_ms, t_ms=t_ms, vehicle_id=self.vehicle_id, device_id=self.device.device_id,
            boot_id=self.boot_id, seq=self.seq, kind="event" if type_ == "alarm" else "telemetry",
            body=_encode(message),
        )  # fmt: skip
        self.outbox.append(report)
        if rng.random() * REPEAT_ONE_IN < 1.0:
            again_ms = send_ms + rng.randint(*REPEAT_AFTER_MS)
            self.outbox.append(msgspec.structs.replace(report, send_ms=again_ms))

    def _send_time(self, t_ms: int) -> tuple[int, bool]:
        if self._gap is not None and self._gap[0] <= t_ms < self._gap[1]:
            start_ms, end_ms = self._gap
            share = (t_ms - start_ms) / (end_ms - start_ms)
            if self._newest_first:
                share = 1.0 - share
            return end_ms + int(share * UPLOAD_MS), True
        return t_ms + self.rng.randint(*LATENCY_MS), False
