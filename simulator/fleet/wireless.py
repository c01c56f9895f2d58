"""A tracker with a battery of its own that wakes once a day, and when it is taken off."""

from __future__ import annotations

from collections.abc import Iterator

from simulator.domain import FleetDevice, FleetVehicle
from simulator.fleet.legs import Leg, Window
from simulator.fleet.sensors import Gnss
from simulator.fleet.tracker import Tracker

DAY_MS = 86_400_000
WAKE_JITTER_MS = 60_000
TAMPER_PAUSE_MS = 50_000
BATTERY_PCT_PER_DAY = 0.06


class WirelessTracker(Tracker):
    """Reports where the vehicle is at its daily wake; says so twice when removed, then no more."""

    def __init__(self, vehicle: FleetVehicle, device: FleetDevice, seed: int, start_ms: int) -> None:
        super().__init__(vehicle, device, seed)
        self._gnss = Gnss.of(self.rng)
        self._battery_pct = self.rng.uniform(45, 99)
        self._start_ms = start_ms
        self._next_ms = start_ms + self.rng.randint(0, DAY_MS)
        self._silent_until_ms = 0

    def sample(self, leg: Leg, end_ms: int) -> Iterator[int]:
        """Write the reports that fall into a leg; yields the time of each, ascending."""
        limit_ms = min(leg.end_ms, end_ms)
        for window in leg.windows:
            if window.kind == "removed" and window.device_id == self.device.device_id:
                yield from self._wakes(leg, window.start_ms)
                yield from self._removed(leg, window, limit_ms)
        yield from self._wakes(leg, limit_ms)

    def _wakes(self, leg: Leg, limit_ms: int) -> Iterator[int]:
        while self._next_ms < limit_ms:
            t_ms = max(self._next_ms, leg.start_ms)
            self._next_ms += DAY_MS + self.rng.randint(-WAKE_JITTER_MS, WAKE_JITTER_MS)
            if t_ms >= self._silent_until_ms:
                self._say(leg, t_ms)
                yield t_ms

    def _removed(self, leg: Leg, window: Window, limit_ms: int) -> Iterator[int]:
        for t_ms in (window.start_ms, window.start_ms + TAMPER_PAUSE_MS):
            if t_ms < limit_ms:
                self._say(leg, t_ms, alarms=["removal"])
                yield t_ms
        self._silent_until_ms = window.end_ms

    def _say(self, leg: Leg, t_ms: int, alarms: list[str] | None = None) -> None:
        moving = leg.trip is not None
        point, speed_kmh = leg.spot, 0.0
        if leg.trip is not None:
            moment = leg.trip.at((t_ms - leg.start_ms) / 1000.0)
            point, speed_kmh = moment.point, moment.speed_kmh
        fields = self._gnss.fix(point, t_ms, moving=moving, may_jump=False)
        days = (t_ms - self._start_ms) / DAY_MS
        fields |= {
            "speed_kmh": round(speed_kmh, 1),
            "batt_pct": max(1, round(self._battery_pct - BATTERY_PCT_PER_DAY * days)),
            "mode": "periodic",
            "next_report_s": self.device.sleep_s,
        }
        if alarms:
            fields["alarms"] = alarms
        self.report(t_ms, fields, type_="alarm" if alarms else "position")
