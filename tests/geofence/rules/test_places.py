"""RISK_PLACE_VISIT, LEFT_ALLOWED_REGION and TOW_SUSPECTED."""

import pytest

from geofence.domain import DeviceFacts, MarkKind, VehicleFacts
from geofence.engine import deadlines
from tests.geofence.drives import (
    DEVICE,
    FACTS,
    START_MS,
    VEHICLE,
    at,
    box,
    circle,
    context,
    drive,
    dwell,
    ms,
    one,
    park,
    run,
    told,
)

RISK, REGION, TOW = "RISK_PLACE_VISIT", "LEFT_ALLOWED_REGION", "TOW_SUSPECTED"
PAWN = circle("pawn", 0, 200, category="pawn")
BORDER = box("region", -50_000, 0, half_m=60_000, category="allowed_region")
DEVICES = (DeviceFacts(device_id=DEVICE),)
BOUND = VehicleFacts(vehicle_id=VEHICLE, region_fence_ids=("region",), devices=DEVICES)
YARD = box("yard", -150, 150, half_m=150, category="yard")
HELD = VehicleFacts(vehicle_id=VEHICLE, collateral_form="pledge", yard_fence_ids=("yard",), devices=DEVICES)


# -------------------------------------------------------------------------------- risk places


def test_fifteen_minutes_in_a_pawn_yard_raise_dated_to_the_minute():
    found = run([*drive(0, 300, -5000, 0), *park(330, 1500, 0, every_s=100)], PAWN).findings
    raised = one(found, RISK)
    assert raised.event_ms == ms(300 + 900)
    assert raised.detected_ms == ms(1230)
    assert (raised.scope, raised.severity) == ("pawn", "P2")
    assert raised.evidence["assumed_still_there"] is False
    assert raised.evidence["fence_version"] == 1


def test_a_dwell_mark_proves_the_same_finding_when_the_device_is_silent():
    inputs = [*drive(0, 300, -5000, 0), *park(330, 600, 0, every_s=30)]
    state = run(inputs, PAWN).state
    (armed,) = [d for d in deadlines(state, FACTS, context(PAWN)) if d.kind is MarkKind.DWELL]
    assert (armed.since_ms, armed.due_ms, armed.level) == (ms(600), ms(1200), 1)
    raised = one(run([*inputs, dwell(600, 1200)], PAWN).findings, RISK)
    assert raised.event_ms == ms(1200)
    assert raised.evidence["assumed_still_there"] is True
    by_report = one(run([*inputs, at(1230, 0, speed_kmh=0.0)], PAWN).findings, RISK)
    assert by_report.id == raised.id


def test_a_report_after_the_dwell_began_disproves_the_mark():
    away = [*park(0, 600, 0), *drive(630, 830, 0, 5000), dwell(600, 900)]
    assert told(run(away, PAWN).findings, RISK) == []


def test_a_stay_beside_the_fence_or_a_short_one_raises_nothing():
    assert told(run(park(0, 3000, 260), PAWN).findings, RISK) == []
    assert told(run([*park(0, 800, 0), *drive(830, 1400, 0, 9000)], PAWN).findings, RISK) == []
    assert told(run(park(0, 3000, 0), circle("shop", 0, 200, category="repair")).findings, RISK) == []


def test_two_hours_are_p1():
    found = run(park(0, 7300, 0, every_s=100), PAWN).findings
    assert told(found, RISK) == [("raise", "pawn", 900.0), ("raise", "pawn", 7200.0)]
    assert [f.severity for f in found if f.rule == RISK] == ["P2", "P1"]
    assert {f.episode_ms for f in found if f.rule == RISK} == {ms(900)}


def test_the_second_visit_of_the_week_and_a_night_are_one_step_more():
    first = [*park(0, 1200, 0), *drive(1230, 1800, 0, 9000), *park(1830, 6000, 9000)]
    again = [*drive(6030, 6600, 9000, 0), *park(6630, 8000, 0)]
    found = run([*first, *again], PAWN).findings
    assert [f.severity for f in found if f.rule == RISK and f.event == "raise"] == ["P2", "P1"]
    night = 13 * 3600
    assert one(run(park(night, night + 1200, 0), PAWN).findings, RISK).severity == "P1"


def test_it_clears_half_an_hour_after_leaving():
    inputs = [*park(0, 1200, 0), *drive(1230, 1800, 0, 9000), *park(1830, 6000, 9000)]
    found = run(inputs, PAWN).findings
    cleared = one(found, RISK, "clear")
    assert cleared.episode_ms == ms(900)
    assert ms(1200 + 1800) < cleared.event_ms < ms(1400 + 1800)


def test_a_fence_that_comes_into_force_during_the_stay_counts_from_then():
    new = circle("pawn", 0, 200, category="pawn", valid_from_ms=START_MS + 1_000_000)
    assert told(run(park(0, 3000, 0), new).findings, RISK) == [("raise", "pawn", 1900.0)]


# ------------------------------------------------------------------------------------ region


def test_half_an_hour_beyond_the_border_is_p3_and_a_day_p2():
    out = [at(0, -100), *park(600, 90_000, 3000, every_s=600)]
    found = run(out, BORDER, facts=BOUND).findings
    raised = [f for f in found if f.rule == REGION]
    assert [(f.event_ms, f.severity) for f in raised] == [(ms(2400), "P3"), (ms(600 + 86_400), "P2")]
    assert raised[0].scope == "region"
    assert raised[0].evidence["distance_m"] == pytest.approx(3000, rel=0.01)


def test_ten_kilometres_raise_at_the_second_fix():
    found = run([at(0, -100), at(600, 10_500), at(900, 10_600)], BORDER, facts=BOUND).findings
    assert told(found, REGION) == [("raise", "region", 900.0)]


def test_a_vehicle_that_starts_outside_is_outside():
    assert told(run(park(0, 2000, 5000), BORDER, facts=BOUND).findings, REGION) == [
        ("raise", "region", 1800.0)
    ]


def test_the_kilometre_of_grace_and_single_fixes_raise_nothing():
    assert told(run(park(0, 9000, 900), BORDER, facts=BOUND).findings, REGION) == []
    once = [at(0, -100), at(600, 15_000), at(1200, -100), at(1800, 15_000), at(2400, -100)]
    assert told(run(once, BORDER, facts=BOUND).findings, REGION) == []


def test_back_inside_for_half_an_hour_clears():
    inputs = [at(0, -100), at(600, 12_000), at(1200, 12_100), *park(2000, 4000, -3000, every_s=200)]
    found = run(inputs, BORDER, facts=BOUND).findings
    assert told(found, REGION) == [("raise", "region", 1200.0), ("clear", "region", 3800.0)]
    assert one(found, REGION, "clear").episode_ms == ms(1200)


def test_any_of_several_regions_will_do():
    east = box("east", 0, 50_000, half_m=60_000, category="allowed_region")
    both = VehicleFacts(vehicle_id=VEHICLE, region_fence_ids=("region", "east"), devices=DEVICES)
    assert (
        told(run(drive(0, 3600, -30_000, 30_000, every_s=60), BORDER, east, facts=both).findings, REGION)
        == []
    )


def test_a_region_of_one_vehicle_works_without_being_shared():
    mine = box("region", -50_000, 0, half_m=60_000, category="allowed_region", scope="vehicle")
    found = run([at(0, -100), at(600, 10_500), at(900, 10_600)], mine, facts=BOUND).findings
    assert told(found, REGION) == [("raise", "region", 900.0)]


# -------------------------------------------------------------------------------------- yard


def test_a_pledged_vehicle_that_leaves_the_yard_is_p1_at_once():
    found = run([*park(0, 600, 0), *drive(600, 690, 0, 900)], YARD, facts=HELD).findings
    raised = one(found, REGION)
    assert (raised.severity, raised.scope) == ("P1", "yard")
    assert raised.event_ms == one(found, "FENCE", "exit").event_ms == pytest.approx(ms(615), abs=100)
    assert raised.detected_ms <= ms(660)


def test_back_in_the_yard_clears():
    inputs = [*park(0, 600, 0), *drive(600, 690, 0, 900), *drive(900, 990, 900, 0), *park(1020, 1200, 0)]
    found = run(inputs, YARD, facts=HELD).findings
    assert [event for event, *_ in told(found, REGION)] == ["raise", "clear"]


def test_a_pledged_vehicle_never_seen_in_the_yard_is_out_of_it():
    found = run(park(0, 300, 5000), YARD, facts=HELD).findings
    assert told(found, REGION) == [("raise", "yard", 0.0)]


def test_a_mortgaged_vehicle_may_leave_a_yard():
    free = VehicleFacts(vehicle_id=VEHICLE, yard_fence_ids=("yard",), devices=DEVICES)
    assert told(run([*park(0, 600, 0), *drive(600, 690, 0, 900)], YARD, facts=free).findings, REGION) == []


# --------------------------------------------------------------------------------------- tow


def stopped(until_s: float = 900.0):
    return [
        *drive(0, 120, -2000, 0, ignition=True),
        *park(150, until_s, 0, every_s=150, ignition=False),
    ]


def test_two_fixes_far_from_the_parking_place_with_ignition_off_are_a_tow():
    found = run([*stopped(), *drive(930, 1200, 100, 1500, ignition=False)]).findings
    raised = one(found, TOW)
    assert (raised.severity, raised.scope, raised.evidence["why"]) == ("P1", "", "displacement")
    assert raised.event_ms == ms(960)
    assert raised.detected_ms == ms(990)


def test_one_reflection_is_no_tow():
    inputs = [*stopped(), at(1000, 800, ignition=False), *park(1100, 2000, 0, ignition=False)]
    assert told(run(inputs).findings, TOW) == []


def test_a_reflection_right_after_the_stop_does_not_move_the_parking_place():
    inputs = [
        *drive(0, 120, -2000, 0, ignition=True),
        at(150, 0, ignition=False),
        at(440, 850, ignition=False),
        *park(740, 3000, 0, every_s=300, ignition=False),
    ]
    assert told(run(inputs).findings, TOW) == []


def test_the_device_flag_is_enough_even_where_ignition_was_never_seen_on():
    assert told(run([at(0), at(30, alarms=("tow",))]).findings, TOW) == [("raise", "", 30.0)]
    silent_wire = [*park(0, 900, 0, ignition=False), *drive(930, 1500, 0, 6000, ignition=False)]
    assert told(run(silent_wire).findings, TOW) == []


def test_driving_with_ignition_on_is_no_tow():
    assert told(run([*stopped(), *drive(930, 1500, 0, 6000, ignition=True)]).findings, TOW) == []


def test_ignition_or_ten_parked_minutes_clear_it():
    towed = [*stopped(), *drive(930, 1200, 100, 1500, ignition=False)]
    by_key = run([*towed, at(1230, 1500, ignition=True)]).findings
    assert told(by_key, TOW) == [("raise", "", 960.0), ("clear", "", 1230.0)]
    set_down = run([*towed, *park(1230, 2400, 1500, ignition=False)])
    assert [event for event, *_ in told(set_down.findings, TOW)] == ["raise", "clear"]
    again = run(drive(2430, 2700, 1600, 3000, ignition=False), state=set_down.state).findings
    assert [event for event, *_ in told(again, TOW)] == ["raise"]


def test_an_ordered_tow_raises_nothing():
    ordered = VehicleFacts(
        vehicle_id=VEHICLE, devices=DEVICES, service_windows_ms=((START_MS, START_MS + 3_600_000),)
    )
    found = run([*stopped(), *drive(930, 1200, 100, 1500, ignition=False)], facts=ordered).findings
    assert told(found, TOW) == []
