from geofence.domain import DeviceFacts, VehicleFacts
from geofence.engine import advance, initial_state, pass_time
from tests.geofence.drives import FACTS, VEHICLE, at, circle, context, drive, ms, park, told

PAWN = context(circle("pawn", 0, 200, category="pawn"))
TWO = VehicleFacts(
    vehicle_id=VEHICLE,
    devices=(DeviceFacts(device_id="dev-1", parked_s=3600), DeviceFacts(device_id="dev-2", power="wireless")),
)


def derived(inputs, until_s, facts=FACTS, pieces=1):
    state, findings = initial_state(VEHICLE), []
    size = -(-len(inputs) // pieces)
    for start in range(0, len(inputs), size):
        step = advance(state, inputs[start : start + size], facts, PAWN, derive_marks=True)
        state = step.state
        findings += step.findings
    return [*findings, *pass_time(state, facts, PAWN, ms(until_s)).findings]


def test_silence_and_dwell_are_marked_when_they_are_due():
    found = derived([*park(0, 120, 0), *park(4000, 4120, 0)], 6000)
    assert told(found, "RISK_PLACE_VISIT") == [("raise", "pawn", 900.0)]
    assert told(found, "DEVICE_OFFLINE")[:2] == [("raise", "dev-1", 1920.0), ("clear", "dev-1", 4000.0)]
    assert told(found, "DEVICE_OFFLINE")[2:] == [("raise", "dev-1", 5920.0)]


def test_cutting_the_inputs_changes_no_derived_finding():
    inputs = [*park(0, 120, 0), *park(4000, 4120, 0), *drive(9000, 9600, 0, 8000)]
    assert derived(inputs, 20_000, pieces=4) == derived(inputs, 20_000)


def test_one_device_is_offline_while_the_other_speaks_every_half_minute():
    wireless = [at(0, device_id="dev-2")]
    wired = drive(0, 97_200, 0, 97_200, every_s=30)
    found = derived(sorted([*wireless, *wired], key=lambda r: r.t_ms), 97_200, TWO)
    assert told(found, "DEVICE_OFFLINE") == [("raise", "dev-2", 93_600.0)]


def test_a_silence_that_another_device_makes_too_long_is_marked_then():
    rare = [*park(0, 600, 0, every_s=60)]
    driven = [*drive(5400, 6000, 0, 8000, device_id="dev-2")]
    (first,) = [x for x in told(derived([*rare, *driven], 6000, TWO), "DEVICE_OFFLINE") if x[1] == "dev-1"]
    assert first[0] == "raise"
    assert 5400 <= first[2] <= 5700
