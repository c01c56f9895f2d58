"""What benches feed: fences, and a fleet that drives, made from a seed: the same on every machine."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import msgspec
import numpy as np
import shapely
from numpy.typing import NDArray

from core.clock import from_ms
from core.domain.report import Report
from core.geo.distance import METRES_PER_DEGREE, metres_per_degree_lon
from geofence.fence import Fence, check_fence

Floats = NDArray[np.float64]
Fields = dict[str, Any]
"""One report's fields beyond its identity and times, as the wire names them."""

SAID = ("lat", "lon", "speed_kmh", "heading_deg", "sat", "ignition", "alarms")
"""What a device of the ingest bench says of a step; alarms only when there are some."""
MOVING_SHARE = 0.6
TURNS_ON_OR_OFF = 0.02
GPS_NOISE_M = 4.0


@dataclass(frozen=True, slots=True)
class Box:
    """Degrees."""

    west: float
    south: float
    east: float
    north: float

    def points(self, rng: np.random.Generator, count: int) -> tuple[Floats, Floats]:
        """Return longitudes and latitudes spread evenly."""
        return rng.uniform(self.west, self.east, count), rng.uniform(self.south, self.north, count)


CITY = Box(117.5, 30.0, 118.3, 30.6)
"""About 77 x 67 km."""
PROVINCE = Box(117.0, 29.0, 121.0, 32.0)
"""About 380 x 330 km."""


def polygons(
    rng: np.random.Generator, count: int, box: Box, category: str, *, radius_m: tuple[float, float]
) -> list[Fence]:
    """Return star-shaped places of 30 to 200 vertices (mean 115), radii spread over the magnitudes."""
    lons, lats = box.points(rng, count)
    return [
        check_fence(
            Fence(
                id=f"{category}-{number}",
                category=category,
                geometry=_star(rng, lons[number], lats[number], radius_m),
            )
        )
        for number in range(count)
    ]


def _star(
    rng: np.random.Generator, lon: float, lat: float, between_m: tuple[float, float]
) -> shapely.Polygon:
    vertices = int(rng.integers(30, 201))
    angles = np.linspace(0.0, 2.0 * np.pi, vertices, endpoint=False)
    radius_m = 10.0 ** rng.uniform(*np.log10(between_m))
    waves = sum(
        rng.uniform(0.0, 0.12) * np.sin(wave * angles + rng.uniform(0.0, 2.0 * np.pi))
        for wave in (2, 3, 5, 9)
    )
    reach_m = radius_m * (1.0 + waves + rng.uniform(-0.03, 0.03, vertices))
    return shapely.Polygon(
        np.column_stack(
            [
                lon + reach_m * np.cos(angles) / metres_per_degree_lon(lat),
                lat + reach_m * np.sin(angles) / METRES_PER_DEGREE,
            ]
        )
    )


def circles(rng: np.random.Generator, count: int, box: Box, category: str) -> list[Fence]:
    """Return circles of 100 to 500 m."""
    lons, lats = box.points(rng, count)
    radii = rng.uniform(100.0, 500.0, count)
    return [
        check_fence(
            Fence(
                id=f"{category}-circle-{number}",
                category=category,
                kind="circle",
                geometry=shapely.Point(lons[number], lats[number]),
                radius_m=float(radii[number]),
            )
        )
        for number in range(count)
    ]


def region(box: Box) -> Fence:
    """Return the region that every vehicle must stay in: the box with a margin of half a degree."""
    shape = shapely.box(box.west - 0.5, box.south - 0.5, box.east + 0.5, box.north + 0.5)
    return check_fence(Fence(id="home-region", category="allowed_region", geometry=shape.segmentize(0.05)))


def starts(rng: np.random.Generator, count: int, box: Box, fences: list[Fence]) -> tuple[Floats, Floats]:
    """Return places for vehicles: half anywhere, half on the border of some fence."""
    lons, lats = box.points(rng, count)
    chosen = rng.integers(0, len(fences), count // 2)
    for number, fence_no in enumerate(chosen):
        west, south, east, north = fences[fence_no].geometry.bounds
        lons[number] = rng.uniform(west, east)
        lats[number] = rng.uniform(south, north)
    return lons, lats


class DrivingFleet:
    """Vehicles that drive, turn, park and start again; one step moves all of them."""

    def __init__(self, rng: np.random.Generator, lons: Floats, lats: Floats) -> None:
        count = len(lons)
        self._rng, self._lons, self._lats = rng, lons.copy(), lats.copy()
        self._heading = rng.uniform(0.0, 360.0, count)
        self._speed = rng.uniform(20.0, 70.0, count)
        self._moving = rng.random(count) < MOVING_SHARE
        self._odometer = rng.uniform(1_000.0, 90_000.0, count)

    def __len__(self) -> int:
        return len(self._lons)

    def step(self, seconds: float) -> list[Fields]:
        """Move by some seconds; return what each vehicle's device says then."""
        rng, count = self._rng, len(self._lons)
        self._moving ^= rng.random(count) < TURNS_ON_OR_OFF
        self._heading = (self._heading + rng.normal(0.0, 12.0, count)) % 360.0
        self._speed = np.clip(self._speed + rng.normal(0.0, 4.0, count), 15.0, 80.0)
        speed = np.where(self._moving, self._speed, 0.0)
        way_m = speed / 3.6 * seconds
        turn = np.radians(self._heading)
        self._lats += way_m * np.cos(turn) / METRES_PER_DEGREE
        self._lons += way_m * np.sin(turn) / (METRES_PER_DEGREE * np.cos(np.radians(self._lats)))
        self._odometer += way_m / 1000.0
        noise = rng.normal(0.0, GPS_NOISE_M / METRES_PER_DEGREE, (2, count))
        columns: Fields = {
            "lat": (self._lats + noise[0]).round(6).tolist(),
            "lon": (self._lons + noise[1]).round(6).tolist(),
            "speed_kmh": speed.round(1).tolist(),
            "heading_deg": self._heading.round(1).tolist(),
            "accuracy_m": rng.uniform(3.0, 12.0, count).round(1).tolist(),
            "sat": rng.integers(8, 15, count).tolist(),
            "hdop": rng.uniform(0.7, 1.4, count).round(1).tolist(),
            "ignition": self._moving.tolist(),
            "odometer_km": self._odometer.round(1).tolist(),
            "ext_power_v": rng.uniform(12.4, 14.2, count).round(1).tolist(),
            "batt_pct": rng.uniform(90.0, 100.0, count).round(0).tolist(),
            "rssi_dbm": rng.uniform(-90.0, -60.0, count).round(0).tolist(),
        }
        names = list(columns)
        return [dict(zip(names, row, strict=True)) for row in zip(*columns.values(), strict=True)]


def wire_body(device_id: str, boot_id: int, seq: int, t_ms: int, fields: Fields) -> bytes:
    """Return a position report as its device sends it: 13 fields, about 220 bytes."""
    return msgspec.json.encode({
        "v": 1, "device_id": device_id, "type": "position", "boot_id": boot_id, "seq": seq,
        "fix_time": from_ms(t_ms), "fix_valid": True,
        **{name: fields[name] for name in SAID if name in fields},
    })  # fmt: skip


def engine_report(vehicle_id: str, seq: int, t_ms: int, fields: Fields) -> Report:
    """Return the same as the rules see it."""
    return Report(
        device_id=f"{vehicle_id}-tracker", t_ms=t_ms, boot_id=1, seq=seq, type="position", received_ms=t_ms,
        vehicle_id=vehicle_id, fix_ms=t_ms, device_ms=t_ms, fix_valid=True, **fields,
    )  # fmt: skip


def rounds(
    fleet: DrivingFleet, count: int, start_ms: int, every_ms: int
) -> Iterator[tuple[int, list[Fields]]]:
    """Step the fleet ``count`` times; yield each moment with what everybody says at it."""
    for number in range(count):
        yield start_ms + number * every_ms, fleet.step(every_ms / 1000.0)
