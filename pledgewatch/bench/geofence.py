"""`bench geofence`: how many fixes the engine takes, and whether its answers are Shapely's.

The engine does more than its peer: hysteresis, confirmation, stays, trips, passes and every rule. The
peer is what people write first, a tree with a predicate and a set difference.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import shapely

from core.clock import monotonic
from core.domain.report import Report
from core.geo.distance import METRES_PER_DEGREE, haversine_many_m, metres_per_degree_lon
from geofence.domain import DeviceFacts, VehicleFacts
from geofence.engine import advance, advance_many, initial_state
from geofence.fence import Fence
from geofence.index import Context, FenceIndex
from geofence.state import VehicleState
from pledgewatch.bench.result import BenchResult, describe_machine, quantile, versions
from pledgewatch.bench.workload import (
    CITY,
    PROVINCE,
    Box,
    DrivingFleet,
    Floats,
    circles,
    engine_report,
    polygons,
    region,
    rounds,
    starts,
)

SEED = 20261122
START_MS = 1_795_000_000_000
CADENCE_MS = 30_000
BATCH = 1_000
"""Fixes to a call; reference/geofence.md 3.1 finds 500 to 2,000 best."""
CIRCLE_SIDES = 64


@dataclass(frozen=True, slots=True)
class Size:
    """How much is judged."""

    polygons: int = 2_700
    circles: int = 2_000
    vehicles: int = 20_000
    rounds: int = 4
    rule_vehicles: int = 500
    rule_rounds: int = 40
    places: int = 100_000
    singles: int = 2_000


LONG = Size(rounds=12, rule_rounds=200, places=1_000_000, singles=20_000)


def bench_geofence(
    tell: Callable[[str], None], *, long: bool = False, size: Size | None = None
) -> BenchResult:
    """Measure in this process; about a minute, ``long`` some minutes.

    Rates are per second of processor time, that is of one core: neighbours on the machine do not count.
    """
    size = size or (LONG if long else Size())
    rng = np.random.default_rng(SEED)
    fences = [
        *polygons(rng, size.polygons, PROVINCE, "region", radius_m=(200.0, 5_000.0)),
        *circles(rng, size.circles, PROVINCE, "used_car_market"),
    ]
    tell(f"building an index of {len(fences):,} fences")
    began_s = monotonic()
    index = FenceIndex.build(fences)
    build_s = monotonic() - began_s
    context = Context(index)

    tell(f"making {size.rounds} rounds of {size.vehicles:,} vehicles")
    steps = _steps(rng, size.vehicles, size.rounds + 1, PROVINCE, fences)
    tell("ours: the whole engine")
    ours = _through_engine(steps, context)
    tell("peer: STRtree with a predicate, and the difference of sets")
    theirs = _through_tree(steps, fences)
    tell("one at a time")
    locate_us, report_us = _one_at_a_time(steps, context, size.singles)
    tell("the rules, as ingest calls them")
    rules_us = _rules_us(rng, size)
    tell(f"comparing {size.places:,} places and every vertex with Shapely")
    wrong, compared = _disagreements(rng, index, fences, size.places)
    return BenchResult(
        bench="geofence",
        workload=(
            f"{size.polygons:,} polygons (mean {_mean_vertices(fences):.0f} vertices) and {size.circles:,} "
            f"circles; {size.vehicles:,} vehicles x {size.rounds} fixes, {BATCH:,} to a call; rules: "
            f"{size.rule_vehicles} vehicles x {size.rule_rounds} reports, 401 fences; "
            f"{compared:,} places compared"
        ),
        figures={
            "stateful_fixes_per_s": ours,
            "single_fix_us": locate_us,
            "single_report_us": report_us,
            "rules_cpu_us_per_report": rules_us,
            "membership_fixes_per_s": _membership_rate(steps[1:], index),
            "disagreements": float(wrong),
            "places_compared": float(compared),
            "build_s": build_s,
        },
        peers={"strtree_predicate": theirs},
        ratios={"strtree_predicate": ours / theirs["stateful_fixes_per_s"]},
        machine=describe_machine()
        | versions("shapely", "numpy", "msgspec")
        | {"geos": shapely.geos_version_string},
    )


def _steps(
    rng: np.random.Generator, vehicles: int, count: int, box: Box, fences: list[Fence]
) -> list[list[Report]]:
    """Return what each vehicle reports at each moment."""
    fleet = DrivingFleet(rng, *starts(rng, vehicles, box, fences))
    return [
        [engine_report(f"v{number:05d}", seq, t_ms, said) for number, said in enumerate(told)]
        for seq, (t_ms, told) in enumerate(rounds(fleet, count, START_MS, CADENCE_MS))
    ]


def _facts(report: Report, regions: tuple[str, ...] = ()) -> VehicleFacts:
    device = DeviceFacts(device_id=report.device_id)
    return VehicleFacts(vehicle_id=report.vehicle_id or "", region_fence_ids=regions, devices=(device,))


def _through_engine(steps: Sequence[Sequence[Report]], context: Context) -> float:
    """Return fixes per second; the first step, at which nobody has a state yet, is not counted."""
    facts = [_facts(report) for report in steps[0]]
    states = [initial_state(one.vehicle_id) for one in facts]
    _advance_all(states, steps[0], facts, context)
    began_s = time.process_time()
    for step in steps[1:]:
        _advance_all(states, step, facts, context)
    return sum(map(len, steps[1:])) / (time.process_time() - began_s)


def _advance_all(
    states: list[VehicleState], step: Sequence[Report], facts: Sequence[VehicleFacts], context: Context
) -> None:
    for begin in range(0, len(step), BATCH):
        chosen = range(begin, min(begin + BATCH, len(step)))
        moved = advance_many([(states[n], [step[n]], facts[n]) for n in chosen], context)
        for n, advanced in zip(chosen, moved, strict=True):
            states[n] = advanced.state


def _through_tree(steps: Sequence[Sequence[Report]], fences: Sequence[Fence]) -> dict[str, float]:
    """Return the figures of the naive way: enters and exits are differences of sets."""
    tree = shapely.STRtree([_as_polygon(fence) for fence in fences])
    before: list[set[int]] = [set() for _ in steps[0]]
    events = hits = 0
    began_s = time.process_time()
    for number, step in enumerate(steps):
        if number == 1:
            began_s, events, hits = time.process_time(), 0, 0
        for begin in range(0, len(step), BATCH):
            part = step[begin : begin + BATCH]
            points = shapely.points([report.lon for report in part], [report.lat for report in part])
            now: list[set[int]] = [set() for _ in part]
            for point, fence_no in zip(*tree.query(points, predicate="intersects").tolist(), strict=True):
                now[point].add(fence_no)
            for place, inside in enumerate(now, start=begin):
                events += len(inside ^ before[place])
                hits += len(inside)
                before[place] = inside
    fixes = sum(map(len, steps[1:]))
    rate = fixes / (time.process_time() - began_s)
    return {"stateful_fixes_per_s": rate, "hits_per_fix": hits / fixes, "events_per_fix": events / fixes}


def _as_polygon(fence: Fence) -> shapely.Polygon:
    """Return a polygon; a circle as 64 sides, which is what the tree's users do."""
    if fence.kind == "polygon":
        return fence.geometry
    lon, lat = fence.geometry.x, fence.geometry.y
    turn = np.linspace(0.0, 2.0 * np.pi, CIRCLE_SIDES, endpoint=False)
    return shapely.Polygon(
        np.column_stack(
            [
                lon + fence.radius_m * np.cos(turn) / metres_per_degree_lon(lat),
                lat + fence.radius_m * np.sin(turn) / METRES_PER_DEGREE,
            ]
        )
    )


def _membership_rate(steps: Sequence[Sequence[Report]], index: FenceIndex) -> float:
    """Return fixes per second of the fence lookup alone (distances to borders included)."""
    lons, lats = _places(steps)
    began_s = time.process_time()
    for begin in range(0, len(lons), BATCH):
        index.locate(lons[begin : begin + BATCH], lats[begin : begin + BATCH])
    return len(lons) / (time.process_time() - began_s)


def _places(steps: Sequence[Sequence[Report]]) -> tuple[Floats, Floats]:
    pairs = [(report.lon, report.lat) for step in steps for report in step]
    lons, lats = np.array(pairs, dtype=np.float64).T
    return lons, lats


def _one_at_a_time(steps: Sequence[Sequence[Report]], context: Context, count: int) -> tuple[float, float]:
    """Return median microseconds of one fence lookup, and of a vehicle's second report as a whole."""
    lookups, whole = [], []
    for before, report in list(zip(steps[0], steps[1], strict=True))[:count]:
        lon, lat = np.array([report.lon]), np.array([report.lat])
        began_s = time.perf_counter()
        context.fences.locate(lon, lat)
        lookups.append(time.perf_counter() - began_s)
        facts = _facts(report)
        state = advance(initial_state(facts.vehicle_id), [before], facts, context).state
        began_s = time.perf_counter()
        advance(state, [report], facts, context)
        whole.append(time.perf_counter() - began_s)
    return quantile(lookups, 0.5) * 1e6, quantile(whole, 0.5) * 1e6


def _rules_us(rng: np.random.Generator, size: Size) -> float:
    """Return processor microseconds per report in batches as ingest makes them, on its bench's fences."""
    fences = [
        region(CITY),
        *polygons(rng, 200, CITY, "second_pledge", radius_m=(100.0, 1_000.0)),
        *circles(rng, 200, CITY, "used_car_market"),
    ]
    context = Context(FenceIndex.build(fences))
    steps = _steps(rng, size.rule_vehicles, size.rule_rounds, CITY, fences[1:])
    facts = [_facts(report, ("home-region",)) for report in steps[0]]
    states = [initial_state(one.vehicle_id) for one in facts]
    together = max(1, 2 * BATCH // size.rule_vehicles)
    began_s = time.process_time()
    for begin in range(0, len(steps), together):
        part = steps[begin : begin + together]
        items = [(states[n], [step[n] for step in part], facts[n]) for n in range(size.rule_vehicles)]
        states = [advanced.state for advanced in advance_many(items, context)]
    return (time.process_time() - began_s) * 1e6 / (size.rule_vehicles * size.rule_rounds)


def _disagreements(
    rng: np.random.Generator, index: FenceIndex, fences: Sequence[Fence], places: int
) -> tuple[int, int]:
    """Compare with Shapely, fence by fence without a tree: random places, and every vertex."""
    shapes = [fence for fence in fences if fence.kind == "polygon"]
    vertices = shapely.get_coordinates([fence.geometry for fence in shapes])
    lons, lats = PROVINCE.points(rng, places)
    lons, lats = np.r_[lons, vertices[:, 0]], np.r_[lats, vertices[:, 1]]
    ours: list[set[int]] = [set() for _ in fences]
    for begin in range(0, len(lons), BATCH):
        found = index.locate(lons[begin : begin + BATCH], lats[begin : begin + BATCH])
        for place, hits in enumerate(found, start=begin):
            for number, distance in hits:
                if distance <= 0.0:
                    ours[number].add(place)
    order = np.argsort(lons, kind="stable")
    lons, lats = lons[order], lats[order]
    wrong = 0
    for number, fence in enumerate(fences):
        west, south, east, north = _reach(fence)
        begin, end = np.searchsorted(lons, [west, east + 1e-12])
        near = begin + np.flatnonzero((lats[begin:end] >= south) & (lats[begin:end] <= north))
        if fence.kind == "circle":
            away_m = haversine_many_m(lats[near], lons[near], fence.geometry.y, fence.geometry.x)
            inside = away_m <= fence.radius_m
        else:
            inside = shapely.intersects_xy(fence.geometry, lons[near], lats[near])
        wrong += len(ours[number] ^ set(order[near[inside]].tolist()))
    return wrong, len(lons)


def _reach(fence: Fence) -> tuple[float, float, float, float]:
    """Return the box of a fence in degrees, a circle's with a tenth to spare."""
    west, south, east, north = fence.geometry.bounds
    up = 1.1 * fence.radius_m / METRES_PER_DEGREE
    side = 1.1 * fence.radius_m / metres_per_degree_lon(north)
    return west - side, south - up, east + side, north + up


def _mean_vertices(fences: Sequence[Fence]) -> float:
    shapes = [fence.geometry for fence in fences if fence.kind == "polygon"]
    return float(np.mean(shapely.get_num_coordinates(shapes))) - 1.0
