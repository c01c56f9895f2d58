"""What goes wrong, played out: legs and windows, and the alerts that follow from them.

Each function takes the scene (a parked vehicle) and returns the legs of its incident. A label is
written for every alert that the catalogue (reference/telematics.md (c)) rightly raises.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

from simulator.city.build import REGION_ID, City
from simulator.city.network import Point, distance_m
from simulator.city.places import Place
from simulator.domain import FleetDevice, FleetVehicle, Label
from simulator.fleet.legs import Leg, Window
from simulator.fleet.routine import HOUR_MS, LOCAL_OFFSET_MS, Driver
from simulator.fleet.trip import Border, Trip, plan_trip, rush_factor

MINUTE_MS = 60_000
# Labels are promised only when the rule has this much time left before the plan ends.
MARGIN_MS = 10 * MINUTE_MS
AWAKE_OFFLINE_MS = 30 * MINUTE_MS
ASLEEP_OFFLINE_MS = 190 * MINUTE_MS
WIRELESS_OFFLINE_MS = 26 * HOUR_MS
OUTSIDE_MS = 35 * MINUTE_MS
RISK_STAY_MS = 15 * MINUTE_MS
TOW_LIMIT_KMH = 46.0
JAMMED_ON_THE_WAY_TO = 5  # of the farthest malls: a drive of a quarter of an hour or more


@dataclass(frozen=True, slots=True)
class Incident:
    """A plan to do wrong: from ``at_ms`` on, as soon as the vehicle is parked for a while."""

    kind: str
    at_ms: int
    goal_ms: int = 0  # a moment that the incident aims at, for those that do


@dataclass(frozen=True, slots=True)
class Whereabouts:
    """Where a vehicle stands: the road node and the parking spot."""

    node: int
    spot: Point
    since_ms: int


@dataclass(frozen=True, slots=True)
class Scene:
    """A parked vehicle at the moment at which its incident begins."""

    city: City
    vehicle: FleetVehicle
    driver: Driver
    rng: random.Random
    here: Whereabouts
    begin_ms: int
    plan_end_ms: int
    goal_ms: int = 0

    @property
    def wired(self) -> FleetDevice:
        return self.vehicle.devices[0]

    def hours(self, least: float, most: float) -> int:
        return int(self.rng.uniform(least, most) * HOUR_MS)

    def label(
        self, kind: str, start_ms: int, end_ms: int, rule: str, scope: str, due_ms: int
    ) -> tuple[Label, ...]:
        """Return the label, or nothing when the alert would come after the plan ends."""
        if due_ms + MARGIN_MS > self.plan_end_ms:
            return ()
        return (Label(self.vehicle.vehicle_id, kind, start_ms, end_ms, rule, scope),)


def drive(
    scene: Scene, start: Whereabouts, goal: Place, depart_ms: int, *, limit_kmh: float = 130.0
) -> tuple[Trip, Whereabouts]:
    """Plan a trip to a place; returns it and where it ends."""
    spot = goal.spot(scene.rng)
    hour = (depart_ms + LOCAL_OFFSET_MS) // HOUR_MS % 24
    pace = scene.driver.pace * rush_factor(hour)
    trip = plan_trip(
        scene.city, scene.rng, (start.node, start.spot), (goal.node, spot), pace=pace, limit_kmh=limit_kmh
    )
    return trip, Whereabouts(goal.node, spot, depart_ms + int(trip.duration_s * 1000))


class Outing(NamedTuple):
    """Out, a stay, back; ``way`` is the trip out, ``home`` where it ends."""

    out: Leg
    stay: Leg
    back: Leg
    way: Trip
    home: Whereabouts


def _there_and_back(scene: Scene, goal: Place, stay_ms: int, back_to: Place) -> Outing:
    way, there = drive(scene, scene.here, goal, scene.begin_ms)
    leave_ms = there.since_ms + stay_ms
    back, home = drive(scene, there, back_to, leave_ms)
    return Outing(
        Leg(scene.begin_ms, there.since_ms, scene.here.spot, ignition=True, trip=way),
        Leg(there.since_ms, leave_ms, there.spot, ignition=False),
        Leg(leave_ms, home.since_ms, there.spot, ignition=True, trip=back),
        way,
        home,
    )


def left_region(scene: Scene) -> tuple[list[Leg], Whereabouts]:
    outing = _there_and_back(scene, scene.city.beyond, scene.hours(1.5, 5.0), scene.driver.home)
    crossed_ms = scene.begin_ms + int(outing.way.second_beyond(Border(tuple(scene.city.region))) * 1000)
    labels = scene.label(
        "left_region", crossed_ms, outing.back.end_ms, "LEFT_ALLOWED_REGION", REGION_ID,
        crossed_ms + OUTSIDE_MS,
    )  # fmt: skip
    return [_labelled(outing.out, labels), outing.stay, outing.back], outing.home


def yard_exit(scene: Scene) -> tuple[list[Leg], Whereabouts]:
    goal = scene.rng.choice(scene.city.of("home"))
    outing = _there_and_back(scene, goal, scene.hours(1.0, 3.0), scene.city.of("yard")[0])
    labels: tuple[Label, ...] = ()
    for fence_id in scene.vehicle.yard_fence_ids:
        labels += scene.label(
            "yard_exit",
            scene.begin_ms,
            outing.back.end_ms,
            "LEFT_ALLOWED_REGION",
            fence_id,
            outing.out.end_ms,
        )
    return [_labelled(outing.out, labels), outing.stay, outing.back], outing.home


def second_pledge(scene: Scene) -> tuple[list[Leg], Whereabouts]:
    place = scene.rng.choice(scene.city.of("second_pledge"))
    outing = _there_and_back(scene, place, scene.hours(2.0, 6.0), scene.driver.home)
    stay = outing.stay
    labels = scene.label(
        "second_pledge", stay.start_ms, stay.end_ms, "RISK_PLACE_VISIT", f"fence-{place.place_id}",
        stay.start_ms + RISK_STAY_MS,
    )  # fmt: skip
    return [outing.out, _labelled(stay, labels), outing.back], outing.home


def tow(scene: Scene) -> tuple[list[Leg], Whereabouts]:
    """Drive to town, park where one must not, be towed away: the engine was seen running before."""
    errand, parked = drive(scene, scene.here, scene.rng.choice(scene.city.of("mall")), scene.begin_ms)
    taken_ms = parked.since_ms + scene.hours(0.3, 0.7)
    lot = scene.city.of("impound")[0]
    trip, there = drive(scene, parked, lot, taken_ms, limit_kmh=TOW_LIMIT_KMH)
    leave_ms = there.since_ms + scene.hours(4.0, 10.0)
    back, home = drive(scene, there, scene.driver.home, leave_ms)
    labels = scene.label("tow", taken_ms, there.since_ms, "TOW_SUSPECTED", "", there.since_ms)
    return [
        Leg(scene.begin_ms, parked.since_ms, scene.here.spot, ignition=True, trip=errand),
        Leg(parked.since_ms, taken_ms, parked.spot, ignition=False),
        Leg(taken_ms, there.since_ms, parked.spot, ignition=False, trip=trip, labels=labels),
        Leg(there.since_ms, leave_ms, there.spot, ignition=False),
        Leg(leave_ms, home.since_ms, there.spot, ignition=True, trip=back),
    ], home


def jamming(scene: Scene) -> tuple[list[Leg], Whereabouts]:
    malls = sorted(scene.city.of("mall"), key=lambda place: -distance_m(place.centre, scene.here.spot))
    outing = _there_and_back(
        scene, scene.rng.choice(malls[:JAMMED_ON_THE_WAY_TO]), scene.hours(0.7, 1.5), scene.driver.home
    )
    quarter_ms = (outing.out.end_ms - outing.out.start_ms) // 4
    device_id = scene.wired.device_id
    window = Window("jamming", device_id, scene.begin_ms + quarter_ms, scene.begin_ms + 3 * quarter_ms)
    labels = scene.label("jamming", window.start_ms, window.end_ms, "GNSS_JAMMING", device_id, window.end_ms)
    return [_labelled(outing.out, labels, window), outing.stay, outing.back], outing.home


def power_cut(scene: Scene) -> tuple[list[Leg], Whereabouts]:
    window = Window(
        "power_cut", scene.wired.device_id, scene.begin_ms, scene.begin_ms + scene.hours(1.0, 4.0)
    )
    labels = _device_labels(scene, window, "power_cut", {"EXTERNAL_POWER_CUT": 0})
    return [_parked(scene, window.end_ms + 15 * MINUTE_MS, (window,), labels)], scene.here


def removal(scene: Scene) -> tuple[list[Leg], Whereabouts]:
    if len(scene.vehicle.devices) > 1 and scene.rng.random() < 0.5:
        return _wireless_removal(scene)
    window = Window("removed", scene.wired.device_id, scene.begin_ms, scene.begin_ms + scene.hours(2.0, 6.0))
    labels = _device_labels(scene, window, "removal", {"DEVICE_REMOVED": 0, "EXTERNAL_POWER_CUT": 0})
    return [_parked(scene, window.end_ms + 15 * MINUTE_MS, (window,), labels)], scene.here


def _wireless_removal(scene: Scene) -> tuple[list[Leg], Whereabouts]:
    device = scene.vehicle.devices[1]
    window = Window("removed", device.device_id, scene.begin_ms, scene.begin_ms + scene.hours(34.0, 60.0))
    after = {
        "DEVICE_REMOVED": 0,
        "DEVICE_OFFLINE": WIRELESS_OFFLINE_MS,
        "TAMPER_THEN_DARK": WIRELESS_OFFLINE_MS,
    }
    labels = _device_labels(scene, window, "removal", after)
    return [_parked(scene, scene.begin_ms + 20 * MINUTE_MS, (window,), labels)], scene.here


def going_dark(scene: Scene) -> tuple[list[Leg], Whereabouts]:
    device_id = scene.wired.device_id
    dark_ms = scene.begin_ms + int(scene.rng.uniform(5, 25) * MINUTE_MS)
    end_ms = dark_ms + scene.hours(3.0, 8.0)
    windows = (
        Window("power_cut", device_id, scene.begin_ms, end_ms),
        Window("silent", device_id, dark_ms, end_ms),
    )
    after = dark_ms - scene.begin_ms + AWAKE_OFFLINE_MS
    labels = _device_labels(
        scene, windows[0], "going_dark",
        {"TAMPER_THEN_DARK": after, "EXTERNAL_POWER_CUT": 0, "DEVICE_OFFLINE": after},
    )  # fmt: skip
    return [_parked(scene, end_ms + 15 * MINUTE_MS, windows, labels)], scene.here


def offline(scene: Scene) -> tuple[list[Leg], Whereabouts]:
    window = Window("silent", scene.wired.device_id, scene.begin_ms, scene.begin_ms + scene.hours(4.5, 8.0))
    labels = _device_labels(scene, window, "offline", {"DEVICE_OFFLINE": ASLEEP_OFFLINE_MS})
    return [_parked(scene, window.end_ms + 15 * MINUTE_MS, (window,), labels)], scene.here


def _parked(scene: Scene, end_ms: int, windows: tuple[Window, ...], labels: tuple[Label, ...]) -> Leg:
    return Leg(
        scene.begin_ms, end_ms, scene.here.spot, ignition=False, since_ms=scene.here.since_ms,
        windows=windows, labels=labels,
    )  # fmt: skip


def _labelled(leg: Leg, labels: tuple[Label, ...], *windows: Window) -> Leg:
    return Leg(
        leg.start_ms, leg.end_ms, leg.spot, leg.ignition, leg.trip, leg.since_ms, windows, leg.labels + labels
    )


def _device_labels(scene: Scene, window: Window, kind: str, rules: dict[str, int]) -> tuple[Label, ...]:
    labels: tuple[Label, ...] = ()
    for rule, after_ms in rules.items():
        due_ms = window.start_ms + after_ms
        labels += scene.label(kind, window.start_ms, window.end_ms, rule, window.device_id, due_ms)
    return labels


INCIDENTS: dict[str, Callable[[Scene], tuple[list[Leg], Whereabouts]]] = {
    "left_region": left_region,
    "tow": tow,
    "power_cut": power_cut,
    "second_pledge": second_pledge,
    "going_dark": going_dark,
    "jamming": jamming,
    "removal": removal,
    "offline": offline,
    "yard_exit": yard_exit,
}
