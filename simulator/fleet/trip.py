"""One drive from parking spot to parking spot: where the vehicle is at every second."""

from __future__ import annotations

import bisect
import math
import random
from dataclasses import dataclass
from typing import NamedTuple

from simulator.city.build import City
from simulator.city.network import SPEED_KMH, Point, distance_m

DRIVEWAY_KMH = 14.0
BORDER_STEP_S = 5.0
LIGHT_PROBABILITY = 0.16
LIGHT_WAIT_S = (8.0, 55.0)
RUSH_HOURS = {7: 0.82, 8: 0.72, 9: 0.85, 17: 0.78, 18: 0.70, 19: 0.85}


class Moment(NamedTuple):
    """Where a vehicle is and how it moves."""

    point: Point
    speed_kmh: float
    heading_deg: float
    metres: float


@dataclass(frozen=True, slots=True)
class Trip:
    """Way points with their seconds and metres from departure; between them the speed is even."""

    seconds: tuple[float, ...]
    points: tuple[Point, ...]
    metres: tuple[float, ...]

    @property
    def duration_s(self) -> float:
        return self.seconds[-1]

    @property
    def length_m(self) -> float:
        return self.metres[-1]

    def at(self, second: float) -> Moment:
        """Return the state ``second`` seconds after departure (clamped to the trip)."""
        second = min(max(second, 0.0), self.seconds[-1])
        after = min(max(bisect.bisect_right(self.seconds, second), 1), len(self.seconds) - 1)
        t0, t1 = self.seconds[after - 1], self.seconds[after]
        share = (second - t0) / (t1 - t0) if t1 > t0 else 1.0
        (x0, y0), (x1, y1) = self.points[after - 1], self.points[after]
        length = self.metres[after] - self.metres[after - 1]
        return Moment(
            point=(x0 + share * (x1 - x0), y0 + share * (y1 - y0)),
            speed_kmh=length / (t1 - t0) * 3.6 if t1 > t0 else 0.0,
            heading_deg=math.degrees(math.atan2(x1 - x0, y1 - y0)) % 360.0 if length else 0.0,
            metres=self.metres[after - 1] + share * length,
        )

    def second_beyond(self, border: Border) -> float:
        """Return the first second (in steps) at which the vehicle is beyond a border, else the last."""
        for number in range(int(self.seconds[-1] / BORDER_STEP_S) + 1):
            if border.is_outside(self.at(number * BORDER_STEP_S).point):
                return number * BORDER_STEP_S
        return self.seconds[-1]


@dataclass(frozen=True, slots=True)
class Border:
    """A closed ring in local metres."""

    ring: tuple[Point, ...]

    def is_outside(self, point: Point) -> bool:
        """Tell whether a point is outside, by counting crossings of a ray to the east."""
        x, y = point
        inside = False
        for (x0, y0), (x1, y1) in zip(self.ring, self.ring[1:], strict=False):
            if (y0 > y) != (y1 > y) and x < (x1 - x0) * (y - y0) / (y1 - y0) + x0:
                inside = not inside
        return not inside


def rush_factor(local_hour: int) -> float:
    """Return how much of the free speed is left at an hour of the day."""
    return RUSH_HOURS.get(local_hour, 1.0)


def plan_trip(
    city: City,
    rng: random.Random,
    start: tuple[int, Point],
    goal: tuple[int, Point],
    *,
    pace: float = 1.0,
    limit_kmh: float = 130.0,
) -> Trip:
    """Drive from (road node, spot) to (road node, spot); ``pace`` scales all speeds."""
    seconds, points, metres = [0.0], [start[1]], [0.0]

    def go(point: Point, kmh: float) -> None:
        length = distance_m(points[-1], point)
        if length < 0.5:
            return
        seconds.append(seconds[-1] + length / (kmh / 3.6))
        points.append(point)
        metres.append(metres[-1] + length)

    way = city.route(start[0], goal[0])
    for number, (point, kind) in enumerate(way):
        if number == 0:
            go(point, DRIVEWAY_KMH)
            continue
        go(point, min(SPEED_KMH[kind] * pace * rng.uniform(0.85, 1.12), limit_kmh))
        if kind in {"arterial", "local"} and rng.random() < LIGHT_PROBABILITY:
            seconds.append(seconds[-1] + rng.uniform(*LIGHT_WAIT_S))
            points.append(point)
            metres.append(metres[-1])
    go(goal[1], DRIVEWAY_KMH)
    if len(seconds) == 1:  # the same spot: a vehicle still needs a moment to turn around
        seconds.append(1.0)
        points.append(goal[1])
        metres.append(0.0)
    return Trip(tuple(seconds), tuple(points), tuple(metres))
