"""Vehicles that drive and park about a small town, with a fault now and then: made from a seed."""

from __future__ import annotations

import math
import random
from dataclasses import replace
from typing import Any

import msgspec
import shapely

from geofence.domain import DeviceFacts, MarkKind, TimeMark, VehicleFacts
from geofence.engine import input_order
from geofence.sights import Input
from tests.geofence.drives import START_MS, at, box, circle, context, place

VEHICLES, REPORTS = 24, 160
_CHANGE_MS = START_MS + 7_200_000
_MARKET = box("market", 2600, 3400, half_m=500, category="used_car_market", valid_to_ms=_CHANGE_MS)
TOWN = context(
    box("region", -9000, 9000, half_m=9000, category="allowed_region"),
    box("yard", -400, -100, half_m=200, category="yard"),
    box("own", -2000, 1200, half_m=2500, scope="vehicle"),
    circle("pawn", 1500, 300.0, category="pawn"),
    circle("kerb", -1200, 60.0, category="second_pledge"),
    _MARKET,
    replace(_MARKET, version=2, valid_from_ms=_CHANGE_MS, valid_to_ms=2**62, hysteresis_m=60.0),
    box("strip", 4000, 4080, half_m=6000, category="benign"),
    box("lot", -4500, -1900, half_m=1500, category="scrap"),
    replace(
        box("road", 0, 1),
        kind="corridor",
        width_m=120.0,
        geometry=shapely.LineString([place(-6000, -3000)[::-1], place(6000, 2500)[::-1]]),
    ),
)
ODD: tuple[dict[str, Any], ...] = (
    {"alarms": ("power_cut",)},
    {"alarms": ("removal",)},
    {"alarms": ("shell_open", "vibration")},
    {"alarms": ("jamming",)},
    {"alarms": ("tow",)},
    {"alarms": ("sos",)},
    {"ext_power_v": 0.3},
    {"ext_power_v": None, "ext_power_ok": False},
    {"sat": 1, "rssi_dbm": -110.0},
    {"sat": None},
    {"hdop": 9.0},
    {"ignition": None},
    {"ignition": False},
    {"motion": True},
    {"mode": "sleep", "next_report_s": 600},
)


def traffic(seed: int) -> tuple[dict[str, VehicleFacts], list[Input]]:
    """Return the facts of the vehicles and all their inputs, in order."""
    dice = random.Random(seed)
    facts: dict[str, VehicleFacts] = {}
    inputs: list[Input] = []
    for number in range(VEHICLES):
        vehicle_id = f"v-{number}"
        devices = [f"{vehicle_id}-{name}" for name in ("wired", "hidden", "spare")[: 1 + number % 3]]
        facts[vehicle_id] = VehicleFacts(
            vehicle_id=vehicle_id,
            collateral_form="pledge" if number % 4 == 1 else "mortgage",
            region_fence_ids=((), ("region",), ("region", "own"))[number % 3],
            yard_fence_ids=("yard",) if number % 2 else (),
            service_windows_ms=((START_MS, START_MS + 3_600_000),) if number % 7 == 3 else (),
            devices=tuple(
                DeviceFacts(device_id=device_id, power="wireless" if place else "wired")
                for place, device_id in enumerate(devices)
            ),
        )
        inputs += _drive(dice, vehicle_id, devices)
    return facts, sorted(inputs, key=input_order)


def _drive(dice: random.Random, vehicle_id: str, devices: list[str]) -> list[Input]:
    t_s, moves, heading = dice.randrange(600), dice.random() < 0.5, dice.uniform(0.0, 6.28)
    east, north = dice.uniform(-5000.0, 5000.0), dice.uniform(-5000.0, 5000.0)
    found: list[Input] = []
    fault, lasts = ODD[0], 0
    for seq in range(REPORTS):
        gap_s = dice.choice([10, 30, 30, 30, 60, 60, 300])
        t_s += gap_s
        moves ^= dice.random() < 0.06
        speed = dice.uniform(5.0, 90.0) if moves else 0.0
        if max(abs(east), abs(north)) > 10_000.0:
            heading = math.atan2(-north, -east)
        heading += dice.gauss(0.0, 0.3)
        if moves or dice.random() < 0.01:  # now and then it moves without ignition: a tow
            way_m = max(speed, 20.0) / 3.6 * gap_s
            east, north = east + way_m * math.cos(heading), north + way_m * math.sin(heading)
        wrong_m = dice.choice([150.0, -400.0, 4000.0]) if dice.random() < 0.03 else 0.0
        said = {"speed_kmh": round(speed, 1), "ignition": moves, "sat": dice.randrange(7, 15)}
        said |= {"rssi_dbm": -70.0, "ext_power_v": 12.6}
        if dice.random() < 0.04:
            fault, lasts = dice.choice(ODD), dice.randrange(1, 4)
        if lasts > 0:
            said, lasts = said | fault, lasts - 1
        report = at(
            t_s,
            None if dice.random() < 0.03 else east + wrong_m + dice.gauss(0.0, 5.0),
            north + dice.gauss(0.0, 5.0),
            seq=seq,
            vehicle_id=vehicle_id,
            device_id=dice.choice([devices[0]] * 8 + devices),
            **said,
        )
        if dice.random() < 0.01:
            undated = {"type": "alarm", "received_ms": report.t_ms, "fix_ms": None, "device_ms": 1}
            report = msgspec.structs.replace(report, fix_valid=False, **undated)
        found.append(report)
        if dice.random() < 0.03:
            since_ms, kind = report.t_ms, dice.choice([MarkKind.SILENCE, MarkKind.DWELL])
            found.append(TimeMark(
                vehicle_id=vehicle_id, device_id=report.device_id if kind is MarkKind.SILENCE else "", kind=kind,
                since_ms=since_ms, due_ms=since_ms + 900_000, level=dice.randrange(3),
            ))  # fmt: skip
            t_s += dice.choice([0, 1_000])  # half of the marks are disproved
    return found
