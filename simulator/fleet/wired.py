"""A tracker wired to the vehicle: ignition, supply, sleep, and what it says when it is tampered with."""

from __future__ import annotations

from collections.abc import Iterator

from simulator.domain import FleetDevice, FleetVehicle
from simulator.fleet.legs import Leg, Window
from simulator.fleet.sampling import Sampling
from simulator.fleet.sensors import Gnss, Power
from simulator.fleet.tracker import Tracker
from simulator.fleet.trip import Moment, Trip

SLEEP_AFTER_MS = 2 * 3_600_000
ENGINE_OFF_AFTER_MS = 15_000  # the engine runs a little after the wheels stand
WEAK_SIGNAL_SHARE = 0.09
# Short enough that no offline rule (30 minutes at least) can rightly mind.
WEAK_SIGNAL_MS = (90_000, 840_000)
BASEMENT_MS = 420_000
REBOOTS_PER_DAY = 0.25
DAY_MS = 86_400_000
TAMPER_PAUSE_MS = 45_000
HELD_ALARM_REPORTS = 3
JAMMED_RSSI_DBM = -112


class WiredTracker(Tracker):
    """Samples a vehicle's legs; ``sample`` yields the moment of each report after writing it."""

    def __init__(
        self, vehicle: FleetVehicle, device: FleetDevice, seed: int, sampling: Sampling | None = None
    ) -> None:
        super().__init__(vehicle, device, seed)
        self._sampling = sampling or Sampling.of(device)
        self._gnss = Gnss.of(self.rng)
        self._power = Power(self.rng)
        self._odometer_km = self.rng.uniform(6_000, 130_000)
        self._windows: list[Window] = []
        self._next_ms: int | None = None
        self._held = 0
        self._asleep = False
        self._was_silent = False
        self._was_cut = False

    def sample(self, leg: Leg, end_ms: int) -> Iterator[int]:
        """Write the reports of a leg up to ``end_ms``; yields the time of each, ascending."""
        self._windows = [w for w in self._windows if w.end_ms > leg.start_ms]
        self._windows += [w for w in leg.windows if w.device_id == self.device.device_id]
        if leg.trip is not None:
            yield from self._drive(leg, leg.trip, end_ms)
            if leg.ignition:
                self._odometer_km += leg.trip.length_m / 1000.0
        else:
            yield from self._park(leg, end_ms)

    def _drive(self, leg: Leg, trip: Trip, end_ms: int) -> Iterator[int]:
        self._asleep = False
        self._maybe_lose_signal(leg)
        t_ms = leg.start_ms
        while t_ms < min(leg.end_ms, end_ms):
            moment = trip.at((t_ms - leg.start_ms) / 1000.0)
            self._say(t_ms, moment, moving=True, engine=leg.ignition, parked_h=0.0)
            yield t_ms
            t_ms = self._next_of(t_ms, self._sampling.moving(t_ms))

    def _park(self, leg: Leg, end_ms: int) -> Iterator[int]:
        since_ms = leg.start_ms if leg.since_ms is None else leg.since_ms
        if since_ms == leg.start_ms:
            t_ms = leg.start_ms + ENGINE_OFF_AFTER_MS  # ignition off is reported at once
        elif self._next_ms is None:
            t_ms = leg.start_ms + int(self.rng.random() * self._sampling.parked(leg.start_ms))  # first words
        else:
            t_ms = max(self._next_ms, leg.start_ms)
        here = Moment(leg.spot, 0.0, 0.0, 0.0)
        for window in leg.windows:
            if window.start_ms == leg.start_ms and window.device_id == self.device.device_id:
                t_ms = leg.start_ms  # the event itself wakes the device
        limit_ms = min(leg.end_ms, end_ms)
        while t_ms < limit_ms:
            silent = self._window("silent", t_ms)
            if silent is not None:
                self._was_silent = True
                t_ms = silent.end_ms
                continue
            self._park_one(t_ms, here, since_ms)
            yield t_ms
            t_ms = self._next_of(t_ms, self._pause_ms(t_ms))
        self._next_ms = t_ms

    def _pause_ms(self, t_ms: int) -> int:
        if 0 < self._held < HELD_ALARM_REPORTS:
            return TAMPER_PAUSE_MS
        return self._sampling.sleep_ms if self._asleep else self._sampling.parked(t_ms)

    def _next_of(self, t_ms: int, pause_ms: int) -> int:
        after_ms = t_ms + pause_ms + self.rng.randint(-400, 400)
        # A device speaks at once when something begins or ends.
        edges = [edge for w in self._windows for edge in (w.start_ms, w.end_ms) if t_ms < edge < after_ms]
        if self.rng.random() < REBOOTS_PER_DAY * pause_ms / DAY_MS:
            self.reboot()
        return min([after_ms, *edges])

    def _park_one(self, t_ms: int, here: Moment, since_ms: int) -> None:
        if self._was_silent:
            self._was_silent = False
            self.reboot()
        tampered = self._window("power_cut", t_ms) or self._window("removed", t_ms)
        self._asleep = tampered is None and t_ms - since_ms >= SLEEP_AFTER_MS
        self._say(t_ms, here, moving=False, engine=False, parked_h=(t_ms - since_ms) / 3.6e6)

    def _say(self, t_ms: int, moment: Moment, *, moving: bool, engine: bool, parked_h: float) -> None:
        removed, jammed = self._window("removed", t_ms), self._window("jamming", t_ms)
        cut = removed is not None or self._window("power_cut", t_ms) is not None
        fields: dict[str, object] = {}
        # In a thinned past no neighbour would contradict a jump; a device at its true pace has some.
        may_jump = not self._asleep and not cut and not self._sampling.is_past(t_ms)
        if jammed is not None:
            fields |= {"fix_valid": False, "sat": self.rng.randint(0, 2), "rssi_dbm": JAMMED_RSSI_DBM}
        else:
            fields |= self._gnss.fix(moment.point, t_ms, moving=moving, may_jump=may_jump)
            fields["speed_kmh"] = round(max(0.0, moment.speed_kmh * self.rng.gauss(1, 0.03)), 1)
            if moving and moment.speed_kmh > 3:
                fields["heading_deg"] = round(moment.heading_deg, 1) % 360.0
        fields |= {"ignition": engine, "motion": moving and moment.speed_kmh > 3}
        driven_km = moment.metres / 1000.0 if engine else 0.0
        fields["odometer_km"] = round(self._odometer_km + driven_km, 1)
        fields |= self._power.fields(t_ms, engine=engine, parked_h=parked_h, cut=cut)
        fields["mode"] = "sleep" if self._asleep else "live"
        if self._asleep:
            fields["next_report_s"] = self.device.sleep_s
        alarms = self._alarms(cut=cut, removed=removed is not None, jammed=jammed is not None)
        if alarms:
            fields["alarms"] = alarms
        first = self._held == 1 or jammed is not None
        self.report(t_ms, fields, type_="alarm" if alarms and first else self._type(fields))

    def _type(self, fields: dict[str, object]) -> str:
        return "position" if "lat" in fields else "heartbeat"

    def _alarms(self, *, cut: bool, removed: bool, jammed: bool) -> list[str]:
        self._held = self._held + 1 if cut else 0
        alarms = ["jamming"] if jammed else []
        if 0 < self._held <= HELD_ALARM_REPORTS:
            alarms += (["removal"] if removed else []) + ["power_cut"]
        return alarms

    def _window(self, kind: str, t_ms: int) -> Window | None:
        for window in self._windows:
            if window.kind == kind and window.start_ms <= t_ms < window.end_ms:
                return window
        return None

    def _maybe_lose_signal(self, leg: Leg) -> None:
        length_ms = leg.end_ms - leg.start_ms
        if leg.windows or length_ms < WEAK_SIGNAL_MS[0] * 2 or self.rng.random() > WEAK_SIGNAL_SHARE:
            return
        start_ms = leg.start_ms + int(self.rng.uniform(0.1, 0.9) * length_ms)
        end_ms = min(start_ms + self.rng.randint(*WEAK_SIGNAL_MS), leg.end_ms + BASEMENT_MS)
        self.lose_signal(start_ms, end_ms)
