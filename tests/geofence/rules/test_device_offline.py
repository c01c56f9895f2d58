import pytest

from geofence.domain import DeviceFacts, VehicleFacts
from geofence.engine import deadlines
from geofence.state import VehicleState
from tests.geofence.drives import DEVICE, VEHICLE, at, context, drive, ms, one, park, run, silence, told

RULE = "DEVICE_OFFLINE"


def wait_s(state: VehicleState, power: str = "wired") -> float:
    """Return how long after the last report the silence is due."""
    facts = VehicleFacts(vehicle_id=VEHICLE, devices=(DeviceFacts(device_id=DEVICE, power=power),))
    (deadline,) = deadlines(state, facts, context())
    return (deadline.due_ms - deadline.since_ms) / 1000


def test_a_silence_mark_raises_and_a_fix_clears():
    found = run([at(0), silence(0, 1800), at(4000)]).findings
    assert told(found, RULE) == [("raise", DEVICE, 1800.0), ("clear", DEVICE, 4000.0)]
    raised, cleared = one(found, RULE), one(found, RULE, "clear")
    assert raised.severity == "P3"
    assert raised.device_id == DEVICE
    assert cleared.episode_ms == raised.event_ms == ms(1800)
    assert raised.evidence["silent_s"] == raised.evidence["allowed_s"] == 1800


def test_each_level_is_one_step_more_severe_and_shares_the_episode():
    found = run([at(0), silence(0, 1800), silence(0, 86_400, 2), silence(0, 259_200, 3)]).findings
    assert [f.severity for f in found if f.rule == RULE] == ["P3", "P2", "P1"]
    assert {f.episode_ms for f in found if f.rule == RULE} == {ms(1800)}


def test_two_heartbeats_clear_but_one_does_not():
    assert told(run([at(0), silence(0, 1800), at(4000, None)]).findings, RULE) == [("raise", DEVICE, 1800.0)]
    assert len(told(run([at(0), silence(0, 1800), at(4000, None), at(4030, None)]).findings, RULE)) == 2


def test_a_late_report_inside_the_silence_disproves_the_mark():
    assert told(run([at(0), at(1800), silence(0, 1800)]).findings, RULE) == []
    assert told(run([at(0), at(900, None), silence(0, 1800)]).findings, RULE) == []


def test_another_device_does_not_disprove_it():
    found = run([at(0), at(900, device_id="other"), silence(0, 1800)]).findings
    assert told(found, RULE) == [("raise", DEVICE, 1800.0)]


def test_the_same_level_is_raised_once():
    found = run([at(0), silence(0, 1800), silence(0, 1900)]).findings
    assert len(told(found, RULE)) == 1


@pytest.mark.parametrize(
    ("inputs", "power", "expected_s"),
    [
        (drive(0, 300, 0, 4000), "wired", 1800),
        (park(0, 600, 0), "wired", 1800),
        (park(0, 600, 0, mode="sleep"), "wired", 3 * 3600),
        (park(0, 600, 0, mode="sleep", next_report_s=7200), "wired", 7200 + 3600),
        (park(0, 600, 0, next_report_s=60), "wired", 60 + 1800),
        ([at(0, mode="periodic")], "wireless", 26 * 3600),
        ([at(0, mode="periodic", next_report_s=86_400)], "wireless", 26 * 3600),
        ([at(0, mode="track")], "wireless", 1800),
    ],
)
def test_the_wait_follows_mode_motion_and_promise(inputs, power, expected_s):
    assert wait_s(run(inputs).state, power) == expected_s


def test_after_the_first_level_the_second_is_armed():
    (deadline,) = deadlines(run([at(0), silence(0, 1800)]).state, VehicleFacts(vehicle_id=VEHICLE), context())
    assert (deadline.level, deadline.due_ms, deadline.since_ms) == (2, ms(86_400), ms(0))


def test_a_device_that_was_taken_off_the_vehicle_has_no_deadline():
    gone = VehicleFacts(vehicle_id=VEHICLE, devices=(DeviceFacts(device_id=DEVICE, removed_ms=ms(0)),))
    state = run([at(0)]).state
    assert deadlines(state, gone, context()) == []
    assert told(run([at(0), silence(0, 1800)], facts=gone).findings, RULE) == []
