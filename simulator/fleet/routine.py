"""How people live with a car: commutes, errands, weekends, night shifts; by seed."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass

from simulator.city.build import City
from simulator.city.places import Place

HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS
LOCAL_OFFSET_MS = 8 * HOUR_MS  # China has one time zone and no summer time
ERRANDS = ("mall", "mall", "market", "market", "market", "petrol", "school", "hospital", "repair", "home")
LEISURE = ("mall", "mall", "market", "home", "home", "petrol")
KINDS = (("commuter", 0.66), ("nights", 0.07), ("homebody", 0.17), ("driver", 0.10))


@dataclass(frozen=True, slots=True)
class Errand:
    """A wish to leave at a time for a place."""

    depart_ms: int
    place: Place


@dataclass(frozen=True, slots=True)
class Driver:
    """A person with a car: where home and work are and how they live and drive."""

    key: str
    kind: str
    home: Place
    work: Place
    pace: float
    leaves_at_h: float
    works_h: float

    @classmethod
    def of(cls, city: City, key: str) -> Driver:
        """Invent the driver of a key."""
        rng = random.Random(f"driver:{key}")
        kind = rng.choices([name for name, _ in KINDS], [share for _, share in KINDS])[0]
        night = kind == "nights"
        return cls(
            key=key,
            kind=kind,
            home=rng.choice(city.of("home")),
            work=rng.choice(
                city.of("factory" if night else rng.choice(("office", "office", "office", "factory")))
            ),
            pace=rng.uniform(0.86, 1.08),
            leaves_at_h=rng.uniform(19.0, 21.0) if night else rng.uniform(6.7, 9.0),
            works_h=rng.uniform(8.0, 10.0),
        )

    def errands(self, city: City, from_ms: int) -> Iterator[Errand]:
        """Yield wishes in time order, day after day without end."""
        day = (from_ms + LOCAL_OFFSET_MS) // DAY_MS
        while True:
            rng = random.Random(f"day:{self.key}:{day}")
            midnight_ms = day * DAY_MS - LOCAL_OFFSET_MS
            weekend = (day + 3) % 7 >= 5  # 1970-01-01 was a Thursday
            for hour, place in self._day(city, rng, weekend=weekend):
                depart_ms = midnight_ms + int(hour * HOUR_MS)
                if depart_ms >= from_ms:
                    yield Errand(depart_ms, place)
            day += 1

    def _day(self, city: City, rng: random.Random, *, weekend: bool) -> list[tuple[float, Place]]:
        if self.kind == "driver":
            return self._shift(city, rng)
        if weekend or self.kind == "homebody":
            return self._free_day(city, rng)
        leaves = self.leaves_at_h + rng.gauss(0, 0.2)
        back = leaves + self.works_h + rng.gauss(0, 0.4)
        plan = [(leaves, self.work)]
        if self.kind == "commuter" and rng.random() < 0.18:
            lunch = rng.uniform(11.8, 12.5)
            plan += [(lunch, rng.choice(city.of("mall"))), (lunch + rng.uniform(0.8, 1.3), self.work)]
        if rng.random() < 0.38:
            plan.append((back, rng.choice(city.of(rng.choice(ERRANDS)))))
            back += rng.uniform(0.5, 1.4)
        plan.append((back, self.home))
        if self.kind == "commuter" and rng.random() < 0.14:
            out = max(back + 0.9, 19.3)
            plan += [
                (out, rng.choice(city.of(rng.choice(LEISURE)))),
                (out + rng.uniform(1.2, 2.2), self.home),
            ]
        return plan

    def _free_day(self, city: City, rng: random.Random) -> list[tuple[float, Place]]:
        plan: list[tuple[float, Place]] = []
        hour = rng.uniform(8.5, 11.0)
        for _ in range(rng.choice((0, 1, 1, 2, 2))):
            plan.append((hour, rng.choice(city.of(rng.choice(LEISURE)))))
            hour += rng.uniform(0.9, 2.4)
            plan.append((hour, self.home))
            hour += rng.uniform(1.2, 3.5)
        return [(at, place) for at, place in plan if at < 22.5]

    def _shift(self, city: City, rng: random.Random) -> list[tuple[float, Place]]:
        plan: list[tuple[float, Place]] = []
        hour = 7.0 + rng.uniform(0, 1.5)
        end = hour + rng.uniform(8, 10.5)
        while hour < end:
            plan.append((hour, rng.choice(city.of(rng.choice(("home", "office", "mall", "hospital"))))))
            hour += rng.uniform(0.75, 1.8)
        plan.append((hour, self.home))
        return plan
