"""Routine and incidents woven into one chain of legs."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence

from simulator.city.build import City
from simulator.domain import FleetVehicle
from simulator.fleet.incidents import INCIDENTS, MINUTE_MS, Incident, Scene, Whereabouts, drive
from simulator.fleet.legs import Leg
from simulator.fleet.routine import HOUR_MS, Driver, Errand
from simulator.fleet.story import STORY_INCIDENTS

SETTLE_MS = 12 * MINUTE_MS  # parked this long before anything bad happens: a tow rule has armed by then
SHORTEST_STAY_MS = 6 * MINUTE_MS
TOO_LATE_MS = 75 * MINUTE_MS
FAR_FUTURE_MS = 2**62
PLAYED = INCIDENTS | STORY_INCIDENTS


def itinerary(
    city: City,
    vehicle: FleetVehicle,
    seed: int,
    start_ms: int,
    end_ms: int,
    incidents: Sequence[Incident] = (),
) -> Iterator[Leg]:
    """Yield the legs of a vehicle from ``start_ms`` until one ends at or after ``end_ms``."""
    return _Life(city, vehicle, seed, start_ms, end_ms, incidents).legs()


class _Life:
    def __init__(
        self,
        city: City,
        vehicle: FleetVehicle,
        seed: int,
        start_ms: int,
        end_ms: int,
        incidents: Sequence[Incident],
    ) -> None:
        key = f"{seed}:{vehicle.vehicle_id}"
        self._city, self._vehicle = city, vehicle
        self._driver = Driver.of(city, key)
        self._rng = random.Random(f"life:{key}")
        self._now_ms, self._end_ms = start_ms, end_ms
        self._incidents = sorted(incidents, key=lambda incident: incident.at_ms)
        base = city.of("yard")[0] if vehicle.collateral_form == "pledge" else self._driver.home
        since_ms = start_ms - int(self._rng.uniform(0.3, 9.0) * HOUR_MS)
        self._here = Whereabouts(base.node, base.spot(self._rng), since_ms)

    def legs(self) -> Iterator[Leg]:
        for errand in self._errands():
            yield from self._incidents_before(errand.depart_ms)
            if self._now_ms >= self._end_ms:
                return
            if errand.depart_ms < self._now_ms - TOO_LATE_MS:
                continue
            depart_ms = max(errand.depart_ms, self._now_ms + SHORTEST_STAY_MS)
            yield self._wait_until(depart_ms)
            if depart_ms >= self._end_ms:
                return
            yield self._go(errand, depart_ms)

    def _errands(self) -> Iterator[Errand]:
        if self._vehicle.collateral_form != "pledge":
            yield from self._driver.errands(self._city, self._now_ms)
        # A vehicle in the lender's yard stands there; only its incidents move it.
        yield Errand(FAR_FUTURE_MS, self._city.of("yard")[0])

    def _incidents_before(self, depart_ms: int) -> Iterator[Leg]:
        while self._incidents and self._incidents[0].at_ms <= depart_ms:
            incident = self._incidents.pop(0)
            begin_ms = max(incident.at_ms, self._here.since_ms + SETTLE_MS, self._now_ms + MINUTE_MS)
            if begin_ms >= self._end_ms:
                return
            yield self._wait_until(begin_ms)
            scene = self._scene(begin_ms, incident.goal_ms)
            legs, self._here = PLAYED[incident.kind](scene)
            yield from legs
            self._now_ms = legs[-1].end_ms

    def _wait_until(self, moment_ms: int) -> Leg:
        leg = Leg(self._now_ms, moment_ms, self._here.spot, ignition=False, since_ms=self._here.since_ms)
        self._now_ms = moment_ms
        return leg

    def _scene(self, begin_ms: int, goal_ms: int = 0) -> Scene:
        return Scene(
            self._city, self._vehicle, self._driver, self._rng, self._here, begin_ms, self._end_ms, goal_ms
        )

    def _go(self, errand: Errand, depart_ms: int) -> Leg:
        scene = self._scene(depart_ms)
        trip, there = drive(scene, self._here, errand.place, depart_ms)
        leg = Leg(depart_ms, there.since_ms, self._here.spot, ignition=True, trip=trip)
        self._here, self._now_ms = there, there.since_ms
        return leg
