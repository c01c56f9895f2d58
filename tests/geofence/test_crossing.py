from dataclasses import replace

import pytest

from tests.geofence.drives import START_MS, at, box, circle, drive, ms, one, run, told


def test_two_fixes_inside_confirm_and_the_crossing_is_interpolated():
    found = run([at(0, -200), at(30, -100), at(60, 50), at(90, 60)], box("f", 0, 5000)).findings
    entered = one(found, "FENCE", "enter")
    assert entered.event_ms == pytest.approx(ms(50), abs=50)
    assert entered.detected_ms == ms(90)
    assert entered.evidence["between_ms"] == [ms(30), ms(60)]
    assert entered.evidence["confirmed_by"] == "fixes"
    assert entered.lon == pytest.approx(117.9, abs=1e-6)


def test_one_fix_far_inside_at_speed_confirms_at_once():
    found = run([at(0, -200, speed_kmh=60), at(30, 300, speed_kmh=60)], box("f", 0, 5000)).findings
    assert one(found, "FENCE", "enter").detected_ms == ms(30)


def test_a_single_outlier_beyond_the_border_makes_no_event():
    found = run(
        [at(0, -200), at(30, -100), at(60, 80), at(90, -100), at(120, -200)], box("f", 0, 5000)
    ).findings
    assert told(found, "FENCE") == []


def test_jitter_on_the_border_makes_no_event():
    wobble = [at(30 * n, 12 if n % 2 else -12) for n in range(40)]
    assert told(run(wobble, box("f", 0, 5000)).findings, "FENCE") == []


def test_sixty_seconds_confirm_a_fix_that_stays_within_the_band_after_it():
    found = run([at(0, -200), at(20, 40), at(50, 10), at(85, 10)], box("f", 0, 5000)).findings
    assert one(found, "FENCE", "enter").evidence["confirmed_by"] == "time"


def test_the_first_fix_ever_is_inside_silently_and_its_exit_says_so():
    found = run([at(0, 500), *drive(30, 300, 400, -1000)], box("f", 0, 5000)).findings
    assert [event for event, *_ in told(found, "FENCE")] == ["exit"]
    assert one(found, "FENCE", "exit").evidence["enter_unseen"] is True


def test_a_fix_on_the_border_is_inside():
    state = run([at(0, 0)], box("f", 0, 5000)).state
    assert state.members["f"].inside


@pytest.mark.parametrize(
    "said", [{"sat": 3}, {"hdop": 6.5}, {"fix_source": "lbs"}, {"fix_source": "wifi"}, {"fix_valid": False}]
)
def test_poor_fixes_do_not_change_membership(said):
    found = run(
        [at(0, -200), at(30, 300, speed_kmh=60, **said), at(60, 300, **said)], box("f", 0, 5000)
    ).findings
    assert told(found, "FENCE") == []


def test_an_impossible_jump_is_held_until_the_next_fix_agrees():
    jump = run([at(0, -200), at(30, 90_000), at(60, -200)], box("f", 0, 500_000, half_m=9000)).findings
    assert told(jump, "FENCE") == []
    moved = run(
        [at(0, -200), at(30, 90_000), at(60, 90_050), at(90, 90_050)], box("f", 0, 500_000, half_m=9000)
    ).findings
    assert [event for event, *_ in told(moved, "FENCE")] == ["enter"]


def test_the_band_of_a_small_fence_is_a_fifth_of_its_radius():
    found = run([at(0, -300), at(30, 0), at(60, 1), at(90, 300), at(120, 301)], circle("c", 0, 20)).findings
    assert [event for event, *_ in told(found, "FENCE")] == ["enter", "exit"]
    assert one(found, "FENCE", "enter").evidence["band_m"] == pytest.approx(4.0)


def test_reported_accuracy_widens_the_band():
    shallow = [at(0, -200), at(30, 60, accuracy_m=80), at(60, 60, accuracy_m=80)]
    assert told(run(shallow, box("f", 0, 5000)).findings, "FENCE") == []


def test_a_fence_counts_only_while_it_is_in_force():
    fence = box("f", 0, 5000, valid_from_ms=START_MS + 60_000, valid_to_ms=START_MS + 300_000)
    found = run([at(0, 500), at(30, 510), at(90, 520), at(150, 510), at(400, 500)], fence).findings
    assert told(found, "FENCE") == [("exit", "f", 300.0)]
    assert one(found, "FENCE", "exit").evidence["cause"] == "fence_retired"


def test_an_edited_fence_reevaluates_and_names_the_cause():
    old = box("f", 0, 5000, valid_to_ms=START_MS + 100_000)
    new = replace(box("f", 2000, 5000), version=2, valid_from_ms=START_MS + 100_000)
    found = run([at(0, 500), at(60, 510), at(120, 505), at(180, 500)], old, new).findings
    left = one(found, "FENCE", "exit")
    assert left.evidence["cause"] == "fence_changed"
    assert left.evidence["fence_version"] == 2


def test_a_chord_through_a_fence_is_a_probable_pass():
    found = run([at(0, -400, speed_kmh=50), at(60, 400, speed_kmh=50)], circle("c", 0, 150)).findings
    passed = one(found, "FENCE", "pass_probable")
    assert passed.event_ms == pytest.approx(ms(30), abs=100)
    assert passed.evidence["inside_s"] == pytest.approx(22.5, abs=0.2)


def test_a_fence_beside_the_way_is_a_possible_pass_only():
    found = run([at(0, -400, 300), at(60, 400, 300)], circle("c", 0, 150)).findings
    assert [event for event, *_ in told(found, "FENCE")] == ["pass_possible"]


def test_a_parked_vehicle_passes_nothing():
    found = run([at(60 * n, 0, 300) for n in range(20)], circle("c", 0, 150)).findings
    assert told(found, "FENCE") == []


def test_a_gap_of_more_than_fifteen_minutes_draws_no_chord():
    found = run([at(0, -4000), at(1000, 4000)], circle("c", 0, 150)).findings
    assert told(found, "FENCE") == []


def test_a_fence_of_another_vehicle_is_not_seen():
    mine = box("f", 0, 5000, scope="vehicle")
    assert told(run(drive(0, 300, -1000, 2000), mine).findings, "FENCE") == []
