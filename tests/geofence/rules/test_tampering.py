"""EXTERNAL_POWER_CUT, DEVICE_REMOVED, GNSS_JAMMING and TAMPER_THEN_DARK."""

import pytest

from geofence.domain import DeviceFacts, MarkKind, VehicleFacts
from geofence.engine import deadlines
from tests.geofence.drives import (
    DEVICE,
    FACTS,
    START_MS,
    VEHICLE,
    at,
    circle,
    context,
    ms,
    one,
    park,
    run,
    silence,
    told,
)

CUT, GONE, JAM, DARK = "EXTERNAL_POWER_CUT", "DEVICE_REMOVED", "GNSS_JAMMING", "TAMPER_THEN_DARK"
SERVICE = VehicleFacts(
    vehicle_id=VEHICLE,
    devices=(DeviceFacts(device_id=DEVICE),),
    service_windows_ms=((START_MS, START_MS + 3_600_000),),
)


# ------------------------------------------------------------------------------------ power


def test_an_alarm_and_a_second_report_of_it_raise_at_the_moment_of_the_cut():
    found = run([at(0), at(30, alarms=("power_cut",)), at(45, alarms=("power_cut",))]).findings
    raised = one(found, CUT)
    assert (raised.event_ms, raised.detected_ms, raised.severity) == (ms(30), ms(45), "P2")
    assert raised.evidence["confirmed_by"] == "reports"


def test_a_low_supply_needs_sixty_seconds():
    assert told(run([at(0, ext_power_v=0.3), at(30, ext_power_v=0.2)]).findings, CUT) == []
    assert told(run([at(0, ext_power_v=0.3), at(60, ext_power_v=0.2)]).findings, CUT) == [
        ("raise", DEVICE, 0.0)
    ]


def test_a_crank_sag_raises_nothing():
    assert (
        told(run([at(0, ext_power_v=12.5), at(5, ext_power_v=4.1), at(15, ext_power_v=13.9)]).findings, CUT)
        == []
    )


def test_an_alarm_that_is_taken_back_within_a_minute_raises_nothing():
    assert told(run([at(0, alarms=("power_cut",)), at(20, ext_power_v=12.6)]).findings, CUT) == []


def test_an_alarm_that_nobody_denies_for_a_minute_raises():
    assert told(run([at(0, alarms=("power_cut",)), at(30), at(70)]).findings, CUT) == [("raise", DEVICE, 0.0)]


def test_an_alarm_followed_by_silence_raises_when_the_next_report_is_overdue():
    state = run([*park(0, 600, 0), at(630, alarms=("power_cut",))]).state
    (early,) = deadlines(state, FACTS, context())
    assert (early.kind, early.level, early.since_ms) == (MarkKind.SILENCE, 0, ms(630))
    assert early.due_ms == ms(630 + 330)
    found = run([*park(0, 600, 0), at(630, alarms=("power_cut",)), silence(630, 960, level=0)])
    assert told(found.findings, CUT) == [("raise", DEVICE, 630.0)]
    assert told(found.findings, "DEVICE_OFFLINE") == []
    (later,) = deadlines(found.state, FACTS, context())
    assert (later.level, later.due_ms) == (1, ms(630 + 1800))


def test_ten_minutes_of_supply_clear_it():
    cut = [at(0, ext_power_v=0.1), at(60, ext_power_v=0.1)]
    back = [at(120 + 60 * n, ext_power_v=12.6) for n in range(11)]
    found = run([*cut, *back]).findings
    assert told(found, CUT) == [("raise", DEVICE, 0.0), ("clear", DEVICE, 720.0)]
    assert told(run([*cut, *back[:5]]).findings, CUT) == [("raise", DEVICE, 0.0)]


def test_a_cut_at_night_or_in_a_risk_place_is_p1():
    night = [at(13 * 3600, ext_power_v=0.1), at(13 * 3600 + 60, ext_power_v=0.1)]
    assert one(run(night).findings, CUT).severity == "P1"
    there = [at(0), at(30), at(60, ext_power_v=0.1), at(120, ext_power_v=0.1)]
    raised = one(run(there, circle("pawn", 0, 200, category="pawn")).findings, CUT)
    assert (raised.severity, raised.evidence["risk_fences"]) == ("P1", ["pawn"])


def test_authorised_work_raises_nothing():
    inputs = [
        at(0, alarms=("power_cut", "unplug", "jamming")),
        at(60, alarms=("power_cut",)),
        silence(60, 1900),
    ]
    found = run(inputs, facts=SERVICE).findings
    assert {f.rule for f in found if f.event == "raise"} == {"DEVICE_OFFLINE"}


def test_an_alarm_in_a_spike_is_not_swallowed():
    found = run([at(0), at(30, 90_000, alarms=("power_cut",)), at(60, alarms=("power_cut",))]).findings
    assert told(found, CUT) == [("raise", DEVICE, 30.0)]


# ----------------------------------------------------------------------------------- removal


@pytest.mark.parametrize("word", ["shell_open", "unplug"])
def test_an_opened_shell_and_a_pulled_plug_fire_at_once(word):
    assert told(run([at(0, alarms=(word,))]).findings, GONE) == [("raise", DEVICE, 0.0)]


@pytest.mark.parametrize(
    ("inputs", "why"),
    [
        ([at(0, alarms=("removal",)), at(60, alarms=("removal",))], "second flag"),
        ([at(0, alarms=("removal",)), at(200, alarms=("vibration",))], "movement"),
        ([at(0, motion=True), at(200, alarms=("removal",))], "movement"),
        ([at(0, alarms=("removal",)), silence(0, 360, level=0)], "silence"),
    ],
)
def test_a_removal_flag_needs_company(inputs, why):
    raised = one(run(inputs).findings, GONE)
    assert (raised.severity, raised.evidence["confirmed_by"]) == ("P1", why)


def test_one_flash_of_light_and_calm_raise_nothing():
    flash = [at(0, alarms=("removal",)), *[at(60 * n) for n in range(1, 8)], at(500, motion=True)]
    assert told(run(flash).findings, GONE) == []


def test_it_is_latched_and_a_flag_after_an_hour_is_a_new_occurrence():
    held = [at(60 * n, alarms=("unplug",)) for n in range(30)]
    assert len(told(run(held).findings, GONE)) == 1
    again = [*held, at(29 * 60 + 3600, alarms=("unplug",))]
    assert [event for event, *_ in told(run(again).findings, GONE)] == ["raise", "raise"]


def test_the_first_day_after_installation_is_muted():
    new = VehicleFacts(vehicle_id=VEHICLE, devices=(DeviceFacts(device_id=DEVICE, installed_ms=ms(-3600)),))
    assert told(run([at(0, alarms=("unplug",))], facts=new).findings, GONE) == []
    assert len(told(run([at(90_000, alarms=("unplug",))], facts=new).findings, GONE)) == 1


# ----------------------------------------------------------------------------------- jamming


def test_one_jamming_flag_fires_and_ten_good_minutes_clear():
    good = [at(60 + 60 * n, sat=9) for n in range(12)]
    found = run([at(0, None, alarms=("jamming",)), *good]).findings
    assert told(found, JAM) == [("raise", DEVICE, 0.0), ("clear", DEVICE, 660.0)]
    assert one(found, JAM).severity == "P1"


def test_satellites_and_radio_that_fall_together_and_stay_low_are_jamming():
    low = {"sat": 1, "rssi_dbm": -108.0, "ignition": True, "fix_valid": False}
    start = [at(0, sat=9, rssi_dbm=-70.0, ignition=True)]
    assert told(run([*start, at(30, **low), at(60, **low)]).findings, JAM) == []
    assert told(run([*start, at(30, **low), at(60, **low), at(95, **low)]).findings, JAM) == [
        ("raise", DEVICE, 30.0)
    ]


@pytest.mark.parametrize(
    "low",
    [
        {"sat": 1, "rssi_dbm": -75.0, "ignition": True},
        {"sat": 1, "rssi_dbm": -108.0, "ignition": False},
        {"sat": 5, "rssi_dbm": -108.0, "ignition": True},
    ],
)
def test_a_garage_is_not_jamming(low):
    inputs = [at(0, sat=9, rssi_dbm=-70.0, ignition=True), *[at(30 * n, None, **low) for n in range(1, 9)]]
    assert told(run(inputs).findings, JAM) == []


# -------------------------------------------------------------------------------------- dark


@pytest.mark.parametrize(
    ("tamper", "rule"),
    [
        ([at(0, alarms=("power_cut",)), at(60, alarms=("power_cut",))], CUT),
        ([at(0, alarms=("unplug",)), at(60)], GONE),
        ([at(0, alarms=("jamming",)), at(60, None)], JAM),
    ],
)
def test_a_tamper_and_then_silence_is_p1(tamper, rule):
    found = run([*tamper, silence(60, 1860), silence(60, 86_460, 2)]).findings
    dark = one(found, DARK)
    assert (dark.event_ms, dark.severity, dark.scope) == (ms(1860), "P1", DEVICE)
    assert list(dark.evidence["tampers_ms"]) == [rule]
    assert [level for level, *_ in told(found, "DEVICE_OFFLINE")] == ["raise", "raise"]


def test_silence_long_after_the_tamper_or_after_the_supply_came_back_is_plain_offline():
    late = [at(0, ext_power_v=0.1), at(60, ext_power_v=0.1), at(3700, ext_power_v=0.1), silence(3700, 5500)]
    assert told(run(late).findings, DARK) == []
    back = [at(0, ext_power_v=0.1), at(60, ext_power_v=0.1), at(120, ext_power_v=12.6), silence(120, 1920)]
    assert told(run(back).findings, DARK) == []


# ----------------------------------------------------------------------------------- undated


def undated(received_s: float, *alarms: str, seq: int = 7):
    return at(
        received_s,
        None,
        type="alarm",
        alarms=alarms,
        device_ms=1000,
        received_ms=ms(received_s),
        boot_id=2,
        seq=seq,
    )


def test_an_alarm_without_a_plausible_time_is_judged_at_its_receipt():
    found = run([undated(500, "removal", "power_cut")]).findings
    assert {(f.rule, f.event_ms, f.evidence["undated"]) for f in found} == {
        (CUT, ms(500), True),
        (GONE, ms(500), True),
    }


def test_undated_alarms_do_not_disturb_the_order_of_the_others():
    first = run([undated(500, "removal")]).state
    found = run(
        [at(0, -200), at(30, -100), at(60, 50), at(90, 60)], circle("c", 1000, 1000), state=first
    ).findings
    assert [event for event, *_ in told(found, "FENCE")] == ["enter"]
    assert run([undated(500, "removal")], state=first).findings == []


def test_an_undated_tamper_counts_for_the_darkness_after_it():
    found = run([at(0), undated(100, "removal"), silence(100, 1900)]).findings
    assert told(found, DARK) == [("raise", DEVICE, 1900.0)]


def test_an_undated_alarm_disproves_a_silence():
    assert told(run([at(0), undated(100, "sos"), silence(0, 1800)]).findings, "DEVICE_OFFLINE") == []
