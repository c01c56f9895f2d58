"""The whole city of one seed, and its routes."""

from __future__ import annotations

import functools
import heapq
import math
import random
from collections.abc import Sequence

from simulator.city.names import NEIGHBOUR_TOWN
from simulator.city.network import SPEED_KMH, Network, Point, build_network
from simulator.city.places import Place, build_places, region_outline

REGION_ID = "region-yunze"
TREES_KEPT = 256


class City:
    """Roads, places and the region's border; finds the quickest way between places."""

    def __init__(self, seed: int) -> None:
        rng = random.Random(f"city:{seed}")
        self.seed = seed
        self.network: Network = build_network(rng)
        self.places: list[Place] = build_places(rng, self.network)
        self.region: list[Point] = region_outline(rng)
        end = self.network.expressway[-1]
        x, y = self.network.nodes[end]
        self.beyond = Place("beyond-1", "beyond", *NEIGHBOUR_TOWN, (x, y - 60.0), end)
        self._by_category: dict[str, list[Place]] = {}
        for place in self.places:
            self._by_category.setdefault(place.category, []).append(place)
        self._tree = functools.lru_cache(maxsize=TREES_KEPT)(self._shortest_paths)

    def of(self, category: str) -> Sequence[Place]:
        """Return the places of a category."""
        return self._by_category[category]

    def route(self, start: int, goal: int) -> list[tuple[Point, str]]:
        """Return the quickest way as (point, class of the road that leads to it); starts at ``start``."""
        towards = self._tree(goal)
        way = [(self.network.nodes[start], "local")]
        node = start
        while node != goal:
            node, kind = towards[node]
            way.append((self.network.nodes[node], kind))
        return way

    def _shortest_paths(self, goal: int) -> list[tuple[int, str]]:
        """Return for every node the next one on the quickest way to ``goal`` (Dijkstra)."""
        edges = self.network.edges
        seconds = [math.inf] * len(edges)
        following: list[tuple[int, str]] = [(goal, "local")] * len(edges)
        seconds[goal] = 0.0
        queue = [(0.0, goal)]
        while queue:
            so_far, node = heapq.heappop(queue)
            if so_far > seconds[node]:
                continue
            for neighbour, length_m, kind in edges[node]:
                total = so_far + length_m / SPEED_KMH[kind] * 3.6
                if total < seconds[neighbour]:
                    seconds[neighbour] = total
                    following[neighbour] = (node, kind)
                    heapq.heappush(queue, (total, neighbour))
        return following


@functools.lru_cache(maxsize=4)
def city_of(seed: int) -> City:
    """Return the city of a seed, built once."""
    return City(seed)
