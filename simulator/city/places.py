"""Where people and pledged vehicles stay: homes, work, errands, and the places a lender fears."""

from __future__ import annotations

import math
import random
from dataclasses import dataclass

from simulator.city.names import PLACE_KINDS, WORDS
from simulator.city.network import COLUMNS, ROWS, SPACING_M, Network, Point, distance_m, river_y

# Ordinary life keeps this far from a risk fence, so that no ordinary stay is ever inside one.
RISK_CLEARANCE_M = 700.0
RIVER_CLEARANCE_M = 140.0
COUNTS = {
    "home": 96, "office": 52, "factory": 18, "mall": 16, "market": 22, "petrol": 16, "school": 12,
    "hospital": 5, "repair": 8,
}  # fmt: skip
# Fixed blocks, towards the edge of the city: (column, row) of the block's south-west corner.
FENCED = {
    "second_pledge": ((-15, 9), (13, -11)),
    "impound": ((-17, -9),),
    "yard": ((10, 12),),
    "used_car_market": ((17, 5),),
}
FENCE_HALF_M = {
    "second_pledge": (125.0, 95.0), "impound": (130.0, 100.0), "yard": (130.0, 110.0),
    "used_car_market": (150.0, 110.0), "repair": (45.0, 35.0),
}  # fmt: skip
SPOT_RADIUS_M = {"home": 65.0, "office": 60.0, "factory": 80.0, "mall": 70.0, "repair": 12.0}
SMALL_SPOT_RADIUS_M = 25.0


@dataclass(frozen=True, slots=True)
class Place:
    """A place in local metres, entered from the road at ``node``."""

    place_id: str
    category: str
    name: str
    name_en: str
    centre: Point
    node: int

    def spot(self, rng: random.Random) -> Point:
        """Return somewhere to park."""
        radius = SPOT_RADIUS_M.get(self.category, SMALL_SPOT_RADIUS_M) * math.sqrt(rng.random())
        angle = rng.uniform(0, 2 * math.pi)
        return self.centre[0] + radius * math.cos(angle), self.centre[1] + radius * math.sin(angle)

    def outline(self) -> list[Point]:
        """Return the fence of a fenced place, a closed ring, counter-clockwise."""
        half_x, half_y = FENCE_HALF_M[self.category]
        x, y = self.centre
        return [
            (x + dx * half_x, y + dy * half_y) for dx, dy in ((-1, -1), (1, -1), (1, 1), (-1, 1), (-1, -1))
        ]


def build_places(rng: random.Random, network: Network) -> list[Place]:
    """Put every place into the middle of a block of its own."""
    places: list[Place] = []
    for category, blocks in FENCED.items():
        for block in blocks:
            places.append(_place(network, places, category, _block_centre(network, block), block))
    risks = list(places)
    free = [
        (i, j)
        for i in range(-COLUMNS, COLUMNS)
        for j in range(-ROWS, ROWS)
        if _is_ordinary(_block_centre(network, (i, j)), risks)
    ]
    rng.shuffle(free)
    # Work and shopping gather in the middle, homes are everywhere.
    by_centrality = sorted(free, key=lambda block: math.hypot(*block) * rng.uniform(0.4, 1.0))
    for category, count in COUNTS.items():
        pool = by_centrality if category in {"office", "mall", "hospital"} else free
        for block in pool[:count]:
            places.append(_place(network, places, category, _block_centre(network, block), block))
        taken = set(pool[:count])
        free = [block for block in free if block not in taken]
        by_centrality = [block for block in by_centrality if block not in taken]
    return places


def _is_ordinary(centre: Point, risks: list[Place]) -> bool:
    if abs(centre[1] - river_y(centre[0])) < RIVER_CLEARANCE_M:
        return False
    return all(distance_m(centre, risk.centre) > RISK_CLEARANCE_M for risk in risks)


def _block_centre(network: Network, block: tuple[int, int]) -> Point:
    i, j = block
    corners = [network.nodes[network.grid[i + di, j + dj]] for di in (0, 1) for dj in (0, 1)]
    return sum(x for x, _ in corners) / 4, sum(y for _, y in corners) / 4


def _place(
    network: Network, before: list[Place], category: str, centre: Point, block: tuple[int, int]
) -> Place:
    corners = [network.grid[block[0] + di, block[1] + dj] for di in (0, 1) for dj in (0, 1)]
    node = min(corners, key=lambda corner: distance_m(network.nodes[corner], centre))
    number = 1 + sum(place.category == category for place in before)
    word, word_en = WORDS[(number * 11 + len(category) * 5) % len(WORDS)]
    suffix, suffix_en = PLACE_KINDS[category]
    stage = "" if number <= len(WORDS) else f"{number // len(WORDS) + 1}期"
    stage_en = "" if not stage else f" {number // len(WORDS) + 1}"
    return Place(
        f"{category}-{number}",
        category,
        f"{word}{suffix}{stage}",
        f"{word_en} {suffix_en}{stage_en}",
        centre,
        node,
    )


def region_outline(rng: random.Random) -> list[Point]:
    """Return the border of the allowed region: irregular, at least five kilometres beyond the last street."""
    ring = []
    steps = 36
    for step in range(steps):
        angle = 2 * math.pi * step / steps
        stretch = rng.uniform(0.97, 1.06)
        x = (COLUMNS * SPACING_M + 8_000.0) * math.cos(angle) * stretch
        y = (ROWS * SPACING_M + 7_500.0) * math.sin(angle) * stretch
        ring.append((x, y))
    return [*ring, ring[0]]
