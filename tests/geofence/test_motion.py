import pytest

from tests.geofence.drives import at, drive, ms, one, park, run, told


def test_a_day_of_two_stays_and_a_trip():
    found = run([*park(0, 600, 0), *drive(630, 1230, 0, 6000), *park(1260, 3000, 6000)]).findings
    assert told(found, "STAY") == [("start", "", 0.0), ("end", "", 600.0), ("start", "", 1230.0)]
    assert told(found, "TRIP") == [("start", "", 600.0), ("end", "", 1230.0)]
    trip = one(found, "TRIP", "end")
    assert trip.evidence["distance_m"] == pytest.approx(6000, rel=0.03)
    assert trip.evidence["duration_s"] == 630
    assert trip.evidence["max_speed_kmh"] == pytest.approx(36.0, abs=0.5)
    assert trip.episode_ms == ms(600)


def test_drift_around_the_parking_place_ends_no_stay():
    drift = [at(60 * n, 40 * (n % 3), 40 * (n % 2)) for n in range(60)]
    drift.append(at(3601, 230))  # one fix far out, as under a bridge
    drift += [at(3660 + 60 * n, 20) for n in range(10)]
    assert told(run(drift).findings, "STAY") == [("start", "", 0.0)]


def test_shunting_in_the_yard_resumes_the_stay():
    shunt = [*park(0, 600, 0), *drive(630, 690, 0, 120, speed_kmh=12), *park(720, 1800, 120)]
    found = run(shunt)
    assert told(found.findings, "STAY") == [("start", "", 0.0)]
    assert told(found.findings, "TRIP") == []
    assert found.state.motion.phase == "parked"


def test_ignition_off_for_a_minute_is_a_stay():
    found = run(
        [*drive(0, 300, 0, 4000, ignition=True), *park(330, 420, 4000, every_s=30, ignition=False)]
    ).findings
    assert one(found, "STAY", "start").detected_ms == ms(390)


def test_a_traffic_light_is_no_stay():
    found = run(
        [*drive(0, 300, 0, 3000), *park(330, 420, 3000, every_s=30), *drive(450, 900, 3000, 8000)]
    ).findings
    assert told(found, "STAY") == []


def test_a_silent_parked_vehicle_is_still_there():
    found = run([*park(0, 600, 0), at(40_000, 30), at(40_060, 20)]).findings
    assert told(found, "STAY") == [("start", "", 0.0)]


def test_a_trip_is_rebuilt_over_a_gap():
    found = run([*park(0, 600, 0), *park(20_000, 20_600, 30_000)]).findings
    assert told(found, "STAY") == [("start", "", 0.0), ("end", "", 600.0), ("start", "", 20_000.0)]
    assert told(found, "TRIP") == [("start", "", 600.0), ("end", "", 20_000.0)]


def test_a_long_gap_ends_a_trip_where_the_vehicle_was_last_seen():
    found = run([*drive(0, 600, 0, 8000), *drive(9000, 9300, 50_000, 54_000)]).findings
    ended = one(found, "TRIP", "end")
    assert ended.event_ms == ms(600)
    assert ended.evidence["ended_by"] == "gap"
