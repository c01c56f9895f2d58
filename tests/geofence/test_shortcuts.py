"""The engine's shortcuts change nothing but the cost: without them every rule sees every input."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence

import pytest
from hypothesis import given, settings

from core.domain.finding import Finding
from geofence.domain import VehicleFacts
from geofence.engine import Context, advance, advance_many, initial_state, input_order, to_bytes
from geofence.rules.roster import Roster
from geofence.sights import Input
from simulator.fleet.plan import FleetPlan
from tests.geofence.drives import VEHICLE, at, box
from tests.geofence.drives import context as around
from tests.geofence.test_properties import CONTEXT, FACTS, drives
from tests.geofence.test_simulated_day import DAY_MS, context_of, facts_of, reports_of
from tests.geofence.test_simulated_day import START_MS as MIDNIGHT_MS
from tests.geofence.traffic import TOWN, traffic

Found = dict[str, list[Finding]]


def through(
    inputs: Sequence[Input],
    facts: Mapping[str, VehicleFacts],
    context: Context,
    batch: int,
    *,
    shortcuts: bool,
) -> tuple[Found, dict[str, bytes]]:
    """Return findings and final states of vehicles whose inputs come in batches, as ingest takes them."""
    states = {vehicle_id: initial_state(vehicle_id) for vehicle_id in facts}
    found: Found = defaultdict(list)
    for begin in range(0, len(inputs), batch):
        by_vehicle: dict[str, list[Input]] = defaultdict(list)
        for item in inputs[begin : begin + batch]:
            by_vehicle[str(item.vehicle_id)].append(item)
        items = [(states[v], row, facts[v]) for v, row in by_vehicle.items()]
        for v, done in zip(by_vehicle, advance_many(items, context, shortcuts=shortcuts), strict=True):
            states[v] = done.state
            found[v] += done.findings
    return found, {vehicle_id: to_bytes(state) for vehicle_id, state in states.items()}


@settings(max_examples=100, deadline=None)
@given(drives())
def test_a_wild_drive_finds_the_same_with_and_without_shortcuts(inputs):
    items = [(initial_state(VEHICLE), inputs, FACTS)]
    quick, slow = (advance_many(items, CONTEXT, shortcuts=shortcuts)[0] for shortcuts in (True, False))
    assert quick.findings == slow.findings
    assert to_bytes(quick.state) == to_bytes(slow.state)


@pytest.mark.parametrize(("seed", "batch"), [(1, 1), (2, 41), (3, 2_000), (4, 300)])
def test_vehicles_that_mostly_behave_find_the_same_with_and_without_shortcuts(seed, batch):
    facts, inputs = traffic(seed)
    quick, slow = (through(inputs, facts, TOWN, batch, shortcuts=shortcuts) for shortcuts in (True, False))
    assert quick == slow
    rules = {finding.rule for row in quick[0].values() for finding in row}
    assert rules >= {
        "FENCE", "STAY", "TRIP", "TOW_SUSPECTED", "EXTERNAL_POWER_CUT", "DEVICE_REMOVED", "GNSS_JAMMING",
        "LEFT_ALLOWED_REGION", "DEVICE_OFFLINE", "RISK_PLACE_VISIT",
    }  # fmt: skip


def test_a_simulated_day_with_incidents_finds_the_same_with_and_without_shortcuts():
    plan = FleetPlan.scenario("day", 7, 40, MIDNIGHT_MS, DAY_MS, 24)
    facts = {vehicle.vehicle_id: facts_of(vehicle) for vehicle in plan.vehicles}
    inputs = sorted((report for row in reports_of(plan).values() for report in row), key=input_order)
    context = context_of(plan)
    quick, slow = (through(inputs, facts, context, 800, shortcuts=shortcuts) for shortcuts in (True, False))
    assert quick == slow
    assert len([finding for row in quick[0].values() for finding in row if finding.event == "raise"]) > 10


def test_on_a_quiet_road_no_rule_but_the_one_that_remembers_satellites_is_asked(monkeypatch):
    asked: list[str] = []
    chosen = Roster.chosen

    def listen(self, signals, open_):
        found = chosen(self, signals, open_)
        asked.extend(slot for slot, _, _ in found)
        return found

    monkeypatch.setattr(Roster, "chosen", listen)
    said = {"speed_kmh": 48.0, "ignition": True, "ext_power_v": 12.6, "sat": 9}
    road = [at(30 * n, 400.0 * n, **said) for n in range(40)]
    region = box("region", -50_000, 50_000, half_m=50_000, category="allowed_region")
    facts = VehicleFacts(vehicle_id=VEHICLE, region_fence_ids=("region",))
    done = advance(initial_state(VEHICLE), road, facts, around(region))
    assert [found.rule for found in done.findings] == ["TRIP"]
    assert asked == ["region", *["jamming"] * 40]  # the first fix of all makes the vehicle inside
