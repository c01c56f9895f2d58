"""The demo's story: cheap history, a vehicle that goes dark when the clocks meet, a map that moves."""

import collections
import itertools

import msgspec
import pytest

from core.errors import Rejected
from simulator.city.network import distance_m, to_local
from simulator.fleet.plan import FleetPlan

MEET_MS = 1_795_328_220_000
MINUTE_MS = 60_000


@pytest.fixture(scope="module")
def told():
    plan = FleetPlan.story(1, 24, MEET_MS)
    until_ms = MEET_MS + 10 * MINUTE_MS
    return plan, list(itertools.takewhile(lambda r: r.send_ms <= until_ms, plan.reports()))


def test_thirty_days_of_history_are_cheap(told):
    plan, reports = told
    assert reports[0].t_ms - plan.start_ms < 20 * MINUTE_MS
    assert 20_000 < sum(report.send_ms < MEET_MS for report in reports) < 200_000


def test_the_protagonist_arrives_loses_power_and_is_silent_for_thirty_minutes_just_after_the_meeting(told):
    plan, reports = told
    hero = plan.vehicles[0]
    assert hero.days_past_due > 0
    said = [(r.t_ms, msgspec.json.decode(r.body)) for r in reports if r.vehicle_id == hero.vehicle_id]
    rules = {label.rule: label for label in plan.labels()}
    assert set(rules) == {"RISK_PLACE_VISIT", "EXTERNAL_POWER_CUT", "TAMPER_THEN_DARK", "DEVICE_OFFLINE"}
    assert abs(rules["RISK_PLACE_VISIT"].start_ms - (MEET_MS - 55 * MINUTE_MS)) < 2_000
    yard = plan.city.of("second_pledge")[0]
    stay = [message for t_ms, message in said if t_ms > MEET_MS - 54 * MINUTE_MS]
    assert all(distance_m(to_local(m["lat"], m["lon"]), yard.centre) < 90 for m in stay)
    alarm_ms = min(t_ms for t_ms, message in said if message.get("alarms"))
    assert alarm_ms == MEET_MS - 29 * MINUTE_MS
    dark_ms = max(t_ms for t_ms, _ in said) + 30 * MINUTE_MS
    assert MEET_MS + 1 * MINUTE_MS <= dark_ms <= MEET_MS + 2 * MINUTE_MS


def test_several_vehicles_visibly_move_after_the_meeting(told):
    _, reports = told
    points = collections.defaultdict(list)
    for report in reports:
        if report.t_ms > MEET_MS:
            message = msgspec.json.decode(report.body)
            if message.get("speed_kmh", 0) > 5:
                points[report.vehicle_id].append((report.t_ms, to_local(message["lat"], message["lon"])))
    movers = [track for track in points.values() if len(track) > 30]
    assert len(movers) >= 6
    for track in movers:
        assert min(b[0] - a[0] for a, b in itertools.pairwise(track)) <= 10_000
        assert distance_m(track[0][1], track[-1][1]) > 200


def test_the_others_live_ordinary_lives(told):
    plan, reports = told
    hero = plan.vehicles[0].vehicle_id
    assert not any(b'"alarms"' in report.body for report in reports if report.vehicle_id != hero)
    assert {label.vehicle_id for label in plan.labels()} == {hero}


def test_the_story_needs_its_own_door():
    with pytest.raises(Rejected):
        FleetPlan.scenario("story", 1, 24, MEET_MS, 1000)
