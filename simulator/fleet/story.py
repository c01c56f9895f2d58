"""The demo's story: thirty ordinary days, then one vehicle goes to a second-pledge yard and falls silent.

``meet`` is the moment at which the deployment's scaled clock meets the wall clock. The past is sampled
cheaply; afterwards several vehicles drive on and on, so that the map moves at any hour of the day.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass

from simulator.city.build import City, city_of
from simulator.domain import FleetVehicle
from simulator.fleet.incidents import (
    AWAKE_OFFLINE_MS,
    MINUTE_MS,
    RISK_STAY_MS,
    Incident,
    Scene,
    Whereabouts,
    drive,
)
from simulator.fleet.legs import Leg, Window
from simulator.fleet.roster import make_fleet
from simulator.fleet.routine import DAY_MS
from simulator.fleet.sampling import Sampling

PAST_DAYS = 30
LIVE_DAYS = 1
PAST_MOVING_MS, PAST_PARKED_MS = 120_000, 900_000
LIVE_AGAIN_MS = 70 * MINUTE_MS  # before the meeting: from here on the devices speak as they promise
ARRIVES_BEFORE_MS = 55 * MINUTE_MS
CUT_BEFORE_MS = 29 * MINUTE_MS
LAST_WORDS_MS = 60_000  # the alarm and what follows it, then nothing
WAITS_FROM_MS = 180 * MINUTE_MS
ROAMERS = 8
ROAM_BEFORE_MS = 6 * MINUTE_MS
ROAM_MOVING_MS, ROAM_PARKED_MS = 6_000, 30_000
ROAM_STOP_MINUTES = (1.5, 4.0)
PROTAGONIST_DAYS_PAST_DUE = 37
SOLD_INDEX = 2
"""In the roster: stands in the lender's yard from the beginning; the demo sells it (roster.is_pledge)."""
SOLD_DAYS_PAST_DUE = 96


@dataclass(frozen=True, slots=True)
class Story:
    """What a plan needs to tell it."""

    city: City
    vehicles: tuple[FleetVehicle, ...]
    start_ms: int
    end_ms: int
    incidents: dict[str, list[Incident]]
    sampling: dict[str, Sampling]


def write_story(seed: int, count: int, meet_ms: int, now_ms: int | None = None) -> Story:
    """Write the story for ``count`` vehicles; the first is its protagonist."""
    end_ms = max(meet_ms, now_ms or meet_ms) + LIVE_DAYS * DAY_MS
    city = city_of(seed)
    first, *others = _roster(city, seed, count)
    # One wired device: nothing else of the vehicle speaks once it is cut off.
    hero = dataclasses.replace(first, devices=first.devices[:1], days_past_due=PROTAGONIST_DAYS_PAST_DUE)
    goes = Incident("to_the_pawn_yard", meet_ms - WAITS_FROM_MS, goal_ms=meet_ms - ARRIVES_BEFORE_MS)
    roaming = [vehicle for vehicle in others if vehicle.collateral_form != "pledge"][:ROAMERS]
    incidents = {hero.vehicle_id: [goes]}
    for vehicle in roaming:
        incidents[vehicle.vehicle_id] = [Incident("roaming", meet_ms - ROAM_BEFORE_MS)]
    vehicles = (hero, *others)
    return Story(
        city, vehicles, meet_ms - PAST_DAYS * DAY_MS, end_ms, incidents,
        _sampling(vehicles, roaming, meet_ms),
    )  # fmt: skip


def sold_vehicle(seed: int, count: int) -> FleetVehicle:
    """Return the vehicle of the story that is sold; the story needs at least three."""
    return _roster(city_of(seed), seed, count)[SOLD_INDEX]


def _roster(city: City, seed: int, count: int) -> list[FleetVehicle]:
    return [
        dataclasses.replace(vehicle, days_past_due=SOLD_DAYS_PAST_DUE) if index == SOLD_INDEX else vehicle
        for index, vehicle in enumerate(make_fleet(city, seed, count))
    ]


def _sampling(
    vehicles: Sequence[FleetVehicle], roaming: Sequence[FleetVehicle], meet_ms: int
) -> dict[str, Sampling]:
    found = {}
    for vehicle in vehicles:
        device = vehicle.devices[0]
        sampling = dataclasses.replace(
            Sampling.of(device), past_until_ms=meet_ms - LIVE_AGAIN_MS,
            past_moving_ms=PAST_MOVING_MS, past_parked_ms=PAST_PARKED_MS,
        )  # fmt: skip
        if vehicle in roaming:
            sampling = dataclasses.replace(
                sampling,
                moving_ms=ROAM_MOVING_MS,
                parked_ms=ROAM_PARKED_MS,
                past_until_ms=meet_ms - ROAM_BEFORE_MS,
            )
        found[device.device_id] = sampling
    return found


def to_the_pawn_yard(scene: Scene) -> tuple[list[Leg], Whereabouts]:
    """Arrive at ``goal_ms``, stay; the supply is cut and the device falls silent for good."""
    place = scene.city.of("second_pledge")[0]
    trip, there = drive(scene, scene.here, place, scene.begin_ms)
    arrive_ms = scene.goal_ms
    depart_ms = max(scene.begin_ms, arrive_ms - int(trip.duration_s * 1000))
    arrive_ms = depart_ms + int(trip.duration_s * 1000)
    cut_ms = scene.goal_ms + ARRIVES_BEFORE_MS - CUT_BEFORE_MS
    device_id, end_ms = scene.wired.device_id, scene.plan_end_ms
    windows = (
        Window("power_cut", device_id, cut_ms, end_ms),
        Window("silent", device_id, cut_ms + LAST_WORDS_MS, end_ms),
    )
    fence_id = f"fence-{place.place_id}"
    dark_ms = cut_ms + LAST_WORDS_MS + AWAKE_OFFLINE_MS
    labels = (
        *scene.label("story", arrive_ms, end_ms, "RISK_PLACE_VISIT", fence_id, arrive_ms + RISK_STAY_MS),
        *scene.label("story", cut_ms, end_ms, "EXTERNAL_POWER_CUT", device_id, cut_ms),
        *scene.label("story", cut_ms, end_ms, "TAMPER_THEN_DARK", device_id, dark_ms),
        *scene.label("story", cut_ms, end_ms, "DEVICE_OFFLINE", device_id, dark_ms),
    )
    here = Whereabouts(there.node, there.spot, arrive_ms)
    return [
        Leg(scene.begin_ms, depart_ms, scene.here.spot, ignition=False, since_ms=scene.here.since_ms),
        Leg(depart_ms, arrive_ms, scene.here.spot, ignition=True, trip=trip),
        Leg(arrive_ms, cut_ms, there.spot, ignition=False),
        Leg(cut_ms, end_ms, there.spot, ignition=False, since_ms=arrive_ms, windows=windows, labels=labels),
    ], here


def roaming(scene: Scene) -> tuple[list[Leg], Whereabouts]:
    """Drive from place to place until the plan ends."""
    legs: list[Leg] = []
    here, now_ms = scene.here, scene.begin_ms
    places = [*scene.city.of("mall"), *scene.city.of("home"), *scene.city.of("office")]
    while now_ms < scene.plan_end_ms:
        trip, there = drive(scene, here, scene.rng.choice(places), now_ms)
        legs.append(Leg(now_ms, there.since_ms, here.spot, ignition=True, trip=trip))
        now_ms = there.since_ms + int(scene.rng.uniform(*ROAM_STOP_MINUTES) * MINUTE_MS)
        legs.append(Leg(there.since_ms, now_ms, there.spot, ignition=False))
        here = there
    return legs, here


STORY_INCIDENTS = {"to_the_pawn_yard": to_the_pawn_yard, "roaming": roaming}
