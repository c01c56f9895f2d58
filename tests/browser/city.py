"""A whole fictional city on the page: the simulator's roads, fences and three hours of its fleet."""

from __future__ import annotations

import json
from datetime import timedelta

import msgspec

from collateral.fleet import FleetDevice, FleetLoan, FleetParty, FleetVehicle
from collateral.provisioning import provision_fleet
from core import wire
from core.clock import to_ms, wall_now
from core.domain.finding import Severity
from core.domain.report import Report
from geofence.editing import put_in_force
from geofence.fences import load_geojson
from simulator.city.geojson import city_geojson, fences_geojson
from simulator.fleet.plan import FleetPlan
from tests.fix_api import Town, risk

SEED = 7
CATEGORIES = ("allowed_region", "second_pledge", "impound", "yard", "used_car_market")


def settle(town: Town, vehicles: int = 60, hours: int = 3) -> list[str]:
    """Fill a town with a city; returns its vehicles."""
    now = wall_now()
    plan = FleetPlan.scenario(
        "quiet", SEED, vehicles, to_ms(now - timedelta(hours=hours)), hours * 3_600_000, incidents=0
    )
    folder = town.settings.data_dir / "map"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "roads.geojson").write_text(json.dumps(city_geojson(plan.city)), encoding="utf-8")
    with town.connect() as conn:
        provision_fleet(conn, [
            FleetVehicle(
                vehicle.vehicle_id, tuple(FleetDevice(device.device_id) for device in vehicle.devices),
                plate=vehicle.plate, make=vehicle.make, model=vehicle.model, org_id="east",
                pledgor=FleetParty(f"P-{n}", f"抵押人{n:03d}"),
                loan=FleetLoan(f"L-{n}", 15_000_000, 9_000_000 + n * 13_700, now, days_past_due=(n % 7 == 0) * n),
            )
            for n, vehicle in enumerate(plan.vehicles)
        ])  # fmt: skip
        for category in CATEGORIES:
            fences = load_geojson(json.dumps(fences_geojson(plan.city, category)).encode(), category).fences
            put_in_force(conn, fences, now_ms=to_ms(now))
    reports: dict[tuple[str, int], Report] = {}
    for sent in plan.reports():
        message, _ = wire.decode(sent.body)
        report = wire.to_report(message, received_ms=sent.send_ms, sha256=b"\0" * 32, ext=None)
        report = msgspec.structs.replace(report, vehicle_id=sent.vehicle_id)
        if report.t_ms > 0:
            reports[report.device_id, report.seq] = report
    town.store(*sorted(reports.values(), key=lambda report: report.order))
    return [vehicle.vehicle_id for vehicle in plan.vehicles]


def trouble(town: Town, vehicles: list[str]) -> None:
    """Let a few risks happen, as an inbox has them on an ordinary afternoon."""
    now = wall_now()
    with town.connect() as conn:
        places: dict[str, list[float]] = dict(
            conn.execute("SELECT vehicle_id, ARRAY[lat, lon] FROM latest_position").fetchall()
        )
    kinds = [
        ("TAMPER_THEN_DARK", "P1", 1, {"gap_s": 1740}), ("RISK_PLACE_VISIT", "P2", 4, {"name": "鑫源二押行", "stay_s": 900}),
        ("TOW_SUSPECTED", "P1", 9, {"displacement_m": 640}), ("EXTERNAL_POWER_CUT", "P2", 22, {"ext_power_v": 0.3}),
        ("LEFT_ALLOWED_REGION", "P3", 48, {"beyond_m": 2310}), ("DEVICE_OFFLINE", "P3", 130, {"gap_s": 7200}),
        ("DEVICE_OFFLINE", "P3", 190, {"gap_s": 10800}),
    ]  # fmt: skip
    for (rule, severity, minutes, evidence), vehicle in zip(kinds, vehicles[3::7], strict=False):
        lat, lon = places.get(vehicle, (30.2, 117.9))
        town.find(
            risk(vehicle, now - timedelta(minutes=minutes), rule, scope="", severity=Severity(severity), lat=lat, lon=lon,
                 evidence=evidence)
        )  # fmt: skip
