"""A seeded day of the simulated city through the pure engine: every labelled alert, and no other."""

from __future__ import annotations

import json
from collections import defaultdict

import msgspec
import pytest

from core.domain.report import Report
from core.wire import decode, to_report
from geofence.domain import DeviceFacts, VehicleFacts
from geofence.engine import advance, initial_state, input_order, pass_time
from geofence.fences import load_geojson
from geofence.index import Context, FenceIndex
from simulator.city.geojson import FENCE_CATEGORIES, fences_geojson
from simulator.domain import FleetVehicle
from simulator.fleet.plan import FleetPlan

START_MS, DAY_MS = 1_795_276_800_000, 86_400_000


def context_of(plan: FleetPlan) -> Context:
    """Return the fences of the simulated city."""
    fences = [
        fence
        for category in FENCE_CATEGORIES
        for fence in load_geojson(json.dumps(fences_geojson(plan.city, category)).encode(), category).fences
    ]
    return Context(FenceIndex.build(fences))


def reports_of(plan: FleetPlan) -> dict[str, list[Report]]:
    """Return what arrives of each vehicle, repeats dropped, in event order."""
    reports: dict[str, dict[tuple[object, ...], Report]] = defaultdict(dict)
    for sent in plan.reports():
        message, ext = decode(sent.body)
        report = to_report(message, received_ms=sent.send_ms, sha256=b"", ext=ext)
        report = msgspec.structs.replace(report, vehicle_id=sent.vehicle_id)
        reports[sent.vehicle_id][report.order] = report
    return {vehicle_id: sorted(row.values(), key=input_order) for vehicle_id, row in reports.items()}


def facts_of(vehicle: FleetVehicle) -> VehicleFacts:
    """Return what the registry would know of a simulated vehicle."""
    return VehicleFacts(
        vehicle_id=vehicle.vehicle_id,
        collateral_form=vehicle.collateral_form,
        region_fence_ids=vehicle.region_fence_ids,
        yard_fence_ids=vehicle.yard_fence_ids,
        devices=tuple(
            DeviceFacts(
                device_id=d.device_id,
                power=d.power,
                moving_s=d.moving_s,
                parked_s=d.parked_s,
                sleep_s=d.sleep_s,
            )
            for d in vehicle.devices
        ),
    )


def raised(plan: FleetPlan) -> set[tuple[str, str, str]]:
    """Return (vehicle, rule, scope) of everything the engine raises over a plan."""
    context, reports = context_of(plan), reports_of(plan)
    found = set()
    for vehicle in plan.vehicles:
        facts, start = facts_of(vehicle), initial_state(vehicle.vehicle_id)
        state, heard = advance(start, reports[vehicle.vehicle_id], facts, context, derive_marks=True)
        for finding in [*heard, *pass_time(state, facts, context, plan.end_ms).findings]:
            if finding.event == "raise":
                found.add((vehicle.vehicle_id, finding.rule, finding.scope))
    return found


@pytest.mark.parametrize("seed", [1, 7])
def test_every_labelled_alert_is_raised_and_no_other(seed):
    plan = FleetPlan.scenario("day", seed, 150, START_MS, DAY_MS, 24)
    labelled = {(label.vehicle_id, label.rule, label.scope) for label in plan.labels()}
    assert len(labelled) >= 24
    assert raised(plan) == labelled


def test_a_quiet_day_raises_nothing():
    assert raised(FleetPlan.scenario("quiet", 3, 80, START_MS, DAY_MS)) == set()
