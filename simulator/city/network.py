"""The road network in local metres: a bent grid with arterials, rings, a river and one expressway."""

from __future__ import annotations

import itertools
import math
import random
from dataclasses import dataclass

CENTRE_LAT, CENTRE_LON = 30.24, 117.86
METRES_PER_DEGREE = 111_320.0
_LON_SCALE = METRES_PER_DEGREE * math.cos(math.radians(CENTRE_LAT))

COLUMNS, ROWS = 20, 16  # grid lines on each side of the centre
SPACING_M = 500.0
ARTERIAL_EVERY = 4
RINGS = ((8, 6), (16, 12))
ROUNDNESS = 0.55  # 0: square city, 1: disc
BEND_M, BEND_LENGTH_M = 170.0, 2_600.0
JITTER_M = 45.0
MISSING_STREETS = 0.14
EXPRESSWAY_STEP_M, EXPRESSWAY_STEPS = 2_000.0, 22

SPEED_KMH = {"local": 34.0, "arterial": 56.0, "ring": 74.0, "expressway": 104.0}

Point = tuple[float, float]


def to_wgs84(point: Point) -> tuple[float, float]:
    """Return (lat, lon) of local metres."""
    return CENTRE_LAT + point[1] / METRES_PER_DEGREE, CENTRE_LON + point[0] / _LON_SCALE


def to_local(lat: float, lon: float) -> Point:
    """Return local metres of WGS-84 degrees."""
    return (lon - CENTRE_LON) * _LON_SCALE, (lat - CENTRE_LAT) * METRES_PER_DEGREE


def distance_m(a: Point, b: Point) -> float:
    """Return the distance of two local points."""
    return math.hypot(a[0] - b[0], a[1] - b[1])


def river_y(x: float) -> float:
    """Return where the river is at ``x``."""
    return 1_650.0 + 850.0 * math.sin(x / 3_400.0)


@dataclass(slots=True)
class Road:
    """A named road: its class and its runs of nodes."""

    road_id: str
    kind: str  # local | arterial | ring | expressway
    name_index: int
    direction: str  # v | h | ring | out
    runs: list[list[int]]


@dataclass(slots=True)
class Network:
    """Nodes in local metres; ``edges[node]`` lists (neighbour, metres, road class)."""

    nodes: list[Point]
    edges: list[list[tuple[int, float, str]]]
    roads: list[Road]
    grid: dict[tuple[int, int], int]
    expressway: list[int]  # from the city's edge to the neighbouring town


def build_network(rng: random.Random) -> Network:
    """Lay out the roads of one city."""
    grid, nodes = _place_nodes(rng)
    links: dict[tuple[int, int], str] = {}
    for (i, j), node in grid.items():
        for neighbour, line in (((i + 1, j), j), ((i, j + 1), i)):
            if neighbour in grid:
                links[node, grid[neighbour]] = "arterial" if line % ARTERIAL_EVERY == 0 else "local"
    for a, b in _ring_links(grid):
        links[a, b] = "ring"
    _remove_streets(rng, nodes, links)
    expressway = _lay_expressway(rng, nodes, grid)
    links.update(dict.fromkeys(itertools.pairwise(expressway), "expressway"))
    edges: list[list[tuple[int, float, str]]] = [[] for _ in nodes]
    for (a, b), kind in links.items():
        length = distance_m(nodes[a], nodes[b])
        edges[a].append((b, length, kind))
        edges[b].append((a, length, kind))
    return Network(nodes, edges, _name_roads(grid, links, expressway), grid, expressway)


def _place_nodes(rng: random.Random) -> tuple[dict[tuple[int, int], int], list[Point]]:
    phases = [rng.uniform(0, 2 * math.pi) for _ in range(2)]
    half_x, half_y = COLUMNS * SPACING_M, ROWS * SPACING_M
    grid: dict[tuple[int, int], int] = {}
    nodes: list[Point] = []
    for j in range(-ROWS, ROWS + 1):
        for i in range(-COLUMNS, COLUMNS + 1):
            u, v = i / COLUMNS, j / ROWS
            x = half_x * u * math.sqrt(1 - ROUNDNESS * v * v / 2)
            y = half_y * v * math.sqrt(1 - ROUNDNESS * u * u / 2)
            x += BEND_M * math.sin(y / BEND_LENGTH_M + phases[0])
            y += BEND_M * math.sin(x / BEND_LENGTH_M + phases[1])
            jitter = 0.0 if i % ARTERIAL_EVERY == 0 or j % ARTERIAL_EVERY == 0 else JITTER_M
            grid[i, j] = len(nodes)
            nodes.append((x + rng.uniform(-jitter, jitter), y + rng.uniform(-jitter, jitter)))
    return grid, nodes


def _ring_links(grid: dict[tuple[int, int], int]) -> list[tuple[int, int]]:
    links = []
    for columns, rows in RINGS:
        for i in range(-columns, columns):
            links += [(grid[i, j], grid[i + 1, j]) for j in (-rows, rows)]
        for j in range(-rows, rows):
            links += [(grid[i, j], grid[i, j + 1]) for i in (-columns, columns)]
    return links


def _remove_streets(rng: random.Random, nodes: list[Point], links: dict[tuple[int, int], str]) -> None:
    # Small streets only, and never the last but one at a node: the arterial grid keeps all connected,
    # so what is left hanging is checked once more by the connectivity pass below.
    degree = [0] * len(nodes)
    for a, b in links:
        degree[a] += 1
        degree[b] += 1
    for (a, b), kind in list(links.items()):
        if kind != "local" or min(degree[a], degree[b]) < 3:
            continue
        crosses_river = (nodes[a][1] > river_y(nodes[a][0])) != (nodes[b][1] > river_y(nodes[b][0]))
        if crosses_river or rng.random() < MISSING_STREETS:
            del links[a, b]
            degree[a] -= 1
            degree[b] -= 1
    _reconnect(nodes, links)


def _reconnect(nodes: list[Point], links: dict[tuple[int, int], str]) -> None:
    parent = list(range(len(nodes)))

    def root(node: int) -> int:
        while parent[node] != node:
            parent[node] = parent[parent[node]]
            node = parent[node]
        return node

    for a, b in links:
        parent[root(a)] = root(b)
    columns = 2 * COLUMNS + 1
    for node in range(len(nodes)):
        for other in (node + 1, node + columns):
            same_row = other != node + 1 or (node + 1) % columns != 0
            if other < len(nodes) and same_row and root(node) != root(other):
                links[node, other] = "local"
                parent[root(node)] = root(other)


def _lay_expressway(rng: random.Random, nodes: list[Point], grid: dict[tuple[int, int], int]) -> list[int]:
    chain = [grid[COLUMNS, 0]]
    x0, y0 = nodes[chain[0]]
    phase = rng.uniform(0, 2 * math.pi)
    for step in range(1, EXPRESSWAY_STEPS + 1):
        x = x0 + step * EXPRESSWAY_STEP_M
        y = y0 + 900.0 * (math.sin(x / 9_000.0 + phase) - math.sin(x0 / 9_000.0 + phase))
        chain.append(len(nodes))
        nodes.append((x, y))
    return chain


def _name_roads(
    grid: dict[tuple[int, int], int], links: dict[tuple[int, int], str], expressway: list[int]
) -> list[Road]:
    roads: list[Road] = []
    lines = [("v", i, [grid[i, j] for j in range(-ROWS, ROWS + 1)]) for i in range(-COLUMNS, COLUMNS + 1)]
    lines += [("h", j, [grid[i, j] for i in range(-COLUMNS, COLUMNS + 1)]) for j in range(-ROWS, ROWS + 1)]
    for direction, line, chain in lines:
        kind = "arterial" if line % ARTERIAL_EVERY == 0 else "local"
        runs: list[list[int]] = []
        for a, b in itertools.pairwise(chain):
            if links.get((a, b)) in (None, "ring"):
                continue
            if runs and runs[-1][-1] == a:
                runs[-1].append(b)
            else:
                runs.append([a, b])
        roads.append(Road(f"road-{direction}{line}", kind, len(roads), direction, runs))
    for index, (columns, rows) in enumerate(RINGS):
        loop = [grid[i, -rows] for i in range(-columns, columns)]
        loop += [grid[columns, j] for j in range(-rows, rows)]
        loop += [grid[i, rows] for i in range(columns, -columns, -1)]
        loop += [grid[-columns, j] for j in range(rows, -rows - 1, -1)]
        roads.append(Road(f"road-ring{index + 1}", "ring", index, "ring", [loop]))
    roads.append(Road("road-expressway", "expressway", 0, "out", [expressway]))
    return roads
