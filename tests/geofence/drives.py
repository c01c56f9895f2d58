"""Drives drawn in a line or two, for tests of the pure engine."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import shapely

from core.domain.finding import Finding
from core.domain.report import Report
from core.geo.distance import METRES_PER_DEGREE, metres_per_degree_lon
from geofence.domain import DeviceFacts, MarkKind, TimeMark, VehicleFacts
from geofence.engine import Advance, Context, FenceIndex, advance, initial_state, input_order
from geofence.fence import Fence
from geofence.state import VehicleState

VEHICLE, DEVICE = "v-1", "dev-1"
LAT, LON = 30.2, 117.9
START_MS = 1_795_312_800_000  # 2026-11-22 10:00 in Shanghai
FACTS = VehicleFacts(vehicle_id=VEHICLE, devices=(DeviceFacts(device_id=DEVICE),))


def place(east_m: float, north_m: float = 0.0) -> tuple[float, float]:
    """Return (lat, lon) so many metres from the middle of the map."""
    return LAT + north_m / METRES_PER_DEGREE, LON + east_m / metres_per_degree_lon(LAT)


def at(s: float, east_m: float | None = 0.0, north_m: float = 0.0, **said: Any) -> Report:
    """Return a report ``s`` seconds after the start; ``east_m`` None: no position."""
    t_ms = START_MS + round(s * 1000)
    placed = east_m is not None
    lat, lon = (None, None) if east_m is None else place(east_m, north_m)
    values: dict[str, Any] = {
        "device_id": DEVICE,
        "t_ms": t_ms,
        "boot_id": 1,
        "seq": round(s * 1000),
        "type": "position" if placed else "heartbeat",
        "received_ms": t_ms + 800,
        "vehicle_id": VEHICLE,
        "fix_ms": t_ms if placed else None,
        "device_ms": t_ms,
        "fix_valid": placed,
        "lat": lat,
        "lon": lon,
    }
    return Report(**{**values, **said})


def silence(since_s: float, due_s: float, level: int = 1, device_id: str = DEVICE) -> TimeMark:
    """Return a silence mark."""
    return TimeMark(
        vehicle_id=VEHICLE,
        device_id=device_id,
        kind=MarkKind.SILENCE,
        since_ms=ms(since_s),
        due_ms=ms(due_s),
        level=level,
    )


def dwell(since_s: float, due_s: float) -> TimeMark:
    """Return a dwell mark."""
    return TimeMark(vehicle_id=VEHICLE, kind=MarkKind.DWELL, since_ms=ms(since_s), due_ms=ms(due_s))


def ms(s: float) -> int:
    """Return the moment ``s`` seconds after the start."""
    return START_MS + round(s * 1000)


def box(fence_id: str, west_m: float, east_m: float, half_m: float = 1000.0, **values: Any) -> Fence:
    """Return a rectangle between two eastings."""
    (south, west), (north, east) = place(west_m, -half_m), place(east_m, half_m)
    return Fence(id=fence_id, geometry=shapely.box(west, south, east, north), **values)


def circle(fence_id: str, east_m: float, radius_m: float, **values: Any) -> Fence:
    """Return a circle."""
    lat, lon = place(east_m)
    return Fence(id=fence_id, kind="circle", geometry=shapely.Point(lon, lat), radius_m=radius_m, **values)


def context(*fences: Fence) -> Context:
    """Return a context of these fences and the usual thresholds."""
    return Context(FenceIndex.build(fences))


def run(
    inputs: Sequence[Any],
    *fences: Fence,
    facts: VehicleFacts = FACTS,
    state: VehicleState | None = None,
) -> Advance:
    """Take inputs in event order."""
    ordered = sorted(inputs, key=input_order)
    return advance(state or initial_state(facts.vehicle_id), ordered, facts, context(*fences))


def told(findings: Sequence[Finding], rule: str) -> list[tuple[str, str, float]]:
    """Return (event, scope, seconds since the start) of a rule's findings."""
    return [(f.event, f.scope, (f.event_ms - START_MS) / 1000) for f in findings if f.rule == rule]


def one(findings: Sequence[Finding], rule: str, event: str = "raise") -> Finding:
    """Return the only finding of a rule and event."""
    (found,) = [f for f in findings if f.rule == rule and f.event == event]
    return found


def drive(
    from_s: float, to_s: float, from_m: float, to_m: float, every_s: float = 30.0, **said: Any
) -> list[Report]:
    """Return reports of a straight drive east, with the speed it needs."""
    steps = round((to_s - from_s) / every_s)
    speed = abs(to_m - from_m) / (to_s - from_s) * 3.6
    said.setdefault("speed_kmh", speed)
    return [at(from_s + n * every_s, from_m + (to_m - from_m) * n / steps, **said) for n in range(steps + 1)]


def park(from_s: float, to_s: float, east_m: float, every_s: float = 60.0, **said: Any) -> list[Report]:
    """Return reports of standing still."""
    said.setdefault("speed_kmh", 0.0)
    steps = round((to_s - from_s) / every_s)
    return [at(from_s + n * every_s, east_m, **said) for n in range(steps + 1)]
