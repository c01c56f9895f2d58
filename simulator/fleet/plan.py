"""The fleet's plan: who drives where when, what goes wrong, and every report in send order."""

from __future__ import annotations

import heapq
import random
from collections.abc import Iterator, Sequence

from core.errors import Rejected
from simulator.city.build import City, city_of
from simulator.domain import DeviceReport, FleetDevice, FleetVehicle, Label
from simulator.fleet.incidents import Incident
from simulator.fleet.itinerary import itinerary
from simulator.fleet.legs import Leg
from simulator.fleet.roster import make_fleet
from simulator.fleet.sampling import Sampling
from simulator.fleet.story import write_story
from simulator.fleet.wired import WiredTracker
from simulator.fleet.wireless import WirelessTracker

INCIDENTS_PER_VEHICLE = 40 / 300
# Early enough that what follows from an incident still falls into the plan.
FROM_SHARE, TO_SHARE = 0.10, 0.62
MORTGAGE_KINDS = (
    "left_region", "tow", "power_cut", "second_pledge", "going_dark", "jamming", "removal", "offline",
)  # fmt: skip
STORM_KINDS = ("power_cut", "going_dark", "removal", "offline", "power_cut")
STORM_SHARE = 0.3
STORM_LENGTH_MS = 20 * 60_000
YARD_EXIT_ONE_IN = 10


class FleetPlan:
    """A seeded plan. Reading it twice gives the same bytes; nothing is kept in memory."""

    def __init__(
        self,
        city: City,
        seed: int,
        vehicles: Sequence[FleetVehicle],
        start_ms: int,
        end_ms: int,
        incidents: dict[str, list[Incident]],
        sampling: dict[str, Sampling] | None = None,
    ) -> None:
        self.city, self.seed = city, seed
        self.vehicles = tuple(vehicles)
        self.start_ms, self.end_ms = start_ms, end_ms
        self.incidents = incidents
        self._sampling = sampling or {}

    @classmethod
    def scenario(
        cls, name: str, seed: int, count: int, start_ms: int, duration_ms: int, incidents: int | None = None
    ) -> FleetPlan:
        """Plan ``day``, ``quiet`` or ``storm`` for ``count`` vehicles.

        Raises:
            Rejected: the scenario is unknown.
        """
        city = city_of(seed)
        vehicles = make_fleet(city, seed, count)
        end_ms = start_ms + duration_ms
        rng = random.Random(f"incidents:{seed}:{name}")
        if name == "quiet":
            planned: dict[str, list[Incident]] = {}
        elif name == "day":
            number = max(1, round(count * INCIDENTS_PER_VEHICLE)) if incidents is None else incidents
            planned = _spread(rng, vehicles, start_ms, duration_ms, number)
        elif name == "storm":
            number = max(1, round(count * STORM_SHARE)) if incidents is None else incidents
            planned = _at_once(rng, vehicles, start_ms + duration_ms // 3, number)
        else:
            raise Rejected(
                f"Expected scenario day, quiet, storm or story, was {name!r}", code="unknown_scenario"
            )
        return cls(city, seed, vehicles, start_ms, end_ms, planned)

    @classmethod
    def story(cls, seed: int, count: int, meet_ms: int, now_ms: int | None = None) -> FleetPlan:
        """Plan the demo's story around the moment at which its clock meets the wall clock.

        Life goes on for a day after the meeting, or after ``now_ms`` when that is later.
        """
        told = write_story(seed, count, meet_ms, now_ms)
        return cls(told.city, seed, told.vehicles, told.start_ms, told.end_ms, told.incidents, told.sampling)

    @property
    def devices(self) -> list[FleetDevice]:
        """Return every device of the fleet."""
        return [device for vehicle in self.vehicles for device in vehicle.devices]

    def legs(self, vehicle: FleetVehicle) -> Iterator[Leg]:
        """Return the life of one vehicle."""
        return itinerary(
            self.city,
            vehicle,
            self.seed,
            self.start_ms,
            self.end_ms,
            self.incidents.get(vehicle.vehicle_id, ()),
        )

    def labels(self) -> list[Label]:
        """Return the alerts that ought to come, by start."""
        found = [
            label
            for vehicle in self.vehicles
            if vehicle.vehicle_id in self.incidents
            for leg in self.legs(vehicle)
            for label in leg.labels
        ]
        return sorted(found, key=lambda label: (label.start_ms, label.vehicle_id, label.rule))

    def reports(self) -> Iterator[DeviceReport]:
        """Yield every report of the fleet in the order in which it is sent."""
        streams = [self.vehicle_reports(vehicle) for vehicle in self.vehicles]
        return heapq.merge(*streams, key=lambda report: report.send_order)

    def vehicle_reports(self, vehicle: FleetVehicle) -> Iterator[DeviceReport]:
        """Yield the reports of one vehicle's devices in send order."""
        trackers = [self._tracker(vehicle, device) for device in vehicle.devices]
        waiting: list[tuple[tuple[int, str, int], int, DeviceReport]] = []
        written = 0
        for leg in self.legs(vehicle):
            for now_ms in heapq.merge(*(tracker.sample(leg, self.end_ms) for tracker in trackers)):
                for tracker in trackers:
                    for report in tracker.outbox:
                        written += 1
                        heapq.heappush(waiting, (report.send_order, written, report))
                    tracker.outbox.clear()
                # Whatever is written later is sent later than the moment it describes.
                while waiting and waiting[0][0][0] <= now_ms:
                    yield heapq.heappop(waiting)[2]
            if leg.end_ms >= self.end_ms:
                break
        while waiting:
            yield heapq.heappop(waiting)[2]

    def _tracker(self, vehicle: FleetVehicle, device: FleetDevice) -> WiredTracker | WirelessTracker:
        if device.power == "wireless":
            return WirelessTracker(vehicle, device, self.seed, self.start_ms)
        return WiredTracker(vehicle, device, self.seed, self._sampling.get(device.device_id))


def _spread(
    rng: random.Random, vehicles: Sequence[FleetVehicle], start_ms: int, duration_ms: int, number: int
) -> dict[str, list[Incident]]:
    kept = [vehicle for vehicle in vehicles if vehicle.collateral_form == "pledge"]
    driven = [vehicle for vehicle in vehicles if vehicle.collateral_form != "pledge"]
    rng.shuffle(kept)
    rng.shuffle(driven)
    planned: dict[str, list[Incident]] = {}
    for index in range(number):
        at_ms = start_ms + int(rng.uniform(FROM_SHARE, TO_SHARE) * duration_ms)
        if kept and (index % YARD_EXIT_ONE_IN == YARD_EXIT_ONE_IN - 1 or not driven):
            vehicle, kind = kept[index // YARD_EXIT_ONE_IN % len(kept)], "yard_exit"
        else:
            vehicle, kind = driven[index % len(driven)], MORTGAGE_KINDS[index % len(MORTGAGE_KINDS)]
        planned.setdefault(vehicle.vehicle_id, []).append(Incident(kind, at_ms))
    return planned


def _at_once(
    rng: random.Random, vehicles: Sequence[FleetVehicle], at_ms: int, number: int
) -> dict[str, list[Incident]]:
    driven = [vehicle for vehicle in vehicles if vehicle.collateral_form != "pledge"]
    chosen = rng.sample(driven, min(number, len(driven)))
    return {
        vehicle.vehicle_id: [
            Incident(STORM_KINDS[index % len(STORM_KINDS)], at_ms + rng.randrange(STORM_LENGTH_MS))
        ]
        for index, vehicle in enumerate(chosen)
    }
