"""The plan is seeded, lazy and in send order; labels agree with what the devices say."""

import collections
import hashlib
import itertools
import json
from datetime import UTC, datetime

import pytest

from core import wire
from core.clock import to_ms
from core.errors import Rejected
from simulator.city.network import distance_m, to_local
from simulator.domain import DeviceReport
from simulator.fleet.plan import FleetPlan
from simulator.fleet.trip import Border

START_MS = to_ms(datetime(2026, 11, 19, 16, tzinfo=UTC))  # midnight of a Friday in China
HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS
ALARM_OF = {"EXTERNAL_POWER_CUT": "power_cut", "DEVICE_REMOVED": "removal", "GNSS_JAMMING": "jamming"}


def a_day(seed=7, vehicles=60, name="day", days=1, incidents=None):
    return FleetPlan.scenario(name, seed, vehicles, START_MS, days * DAY_MS, incidents)


@pytest.fixture(scope="module")
def day():
    plan = a_day(vehicles=120, incidents=30)
    reports = list(plan.reports())
    by_device = collections.defaultdict(list)
    for report in reports:
        by_device[report.device_id].append((report, json.loads(report.body)))
    return plan, reports, by_device


def digest(plan):
    hashed = hashlib.sha256()
    for report in plan.reports():
        hashed.update(b"%d " % report.send_ms + report.body)
    return hashed.hexdigest()


def test_the_same_seed_gives_the_same_bytes_and_another_seed_others():
    assert digest(a_day(vehicles=12)) == digest(a_day(vehicles=12))
    assert digest(a_day(vehicles=12)) != digest(a_day(seed=8, vehicles=12))
    assert a_day().labels() == a_day().labels()


def test_reports_come_in_the_order_in_which_they_are_sent(day):
    _, reports, _ = day
    assert all(a.send_ms <= b.send_ms for a, b in itertools.pairwise(reports))
    assert {report.device_id for report in reports} == {device.device_id for device in day[0].devices}


def test_every_report_is_valid_on_the_wire_with_no_unknown_field(day):
    for report in day[1]:
        message, ext = wire.decode(report.body)
        assert ext is None
        assert (message.device_id, message.boot_id, message.seq) == (
            report.device_id, report.boot_id, report.seq,
        )  # fmt: skip
        decoded = wire.to_report(message, received_ms=0, sha256=b"", ext=None)
        assert decoded.t_ms == report.t_ms


def test_the_numbering_of_a_device_has_no_holes_and_repeats_are_byte_for_byte(day):
    repeats = 0
    for said in day[2].values():
        bodies: dict[tuple[int, int], bytes] = {}
        for report, _ in said:
            key = (report.boot_id, report.seq)
            repeats += key in bodies
            assert bodies.setdefault(key, report.body) == report.body
        numbers = sorted(seq for _, seq in bodies)
        assert numbers == list(range(numbers[0], numbers[0] + len(numbers)))
    assert repeats > 20


def test_weak_signal_delays_reports_by_at_most_a_quarter_of_an_hour(day):
    buffered = [(r, m) for said in day[2].values() for r, m in said if m.get("buffered")]
    assert len(buffered) > 50
    first_copy: dict[tuple[str, int], DeviceReport] = {}
    for report, _ in buffered:
        first_copy.setdefault((report.device_id, report.seq), report)
    assert all(report.send_ms - report.t_ms < 15 * 60_000 for report in first_copy.values())
    arrival = [report.t_ms for report in first_copy.values()]
    assert arrival != sorted(arrival)  # some devices upload the newest first


def test_nobody_without_a_silence_incident_is_silent_long_enough_to_be_offline(day):
    plan, _, by_device = day
    silenced = {label.scope for label in plan.labels() if label.rule == "DEVICE_OFFLINE"}
    for vehicle in plan.vehicles:
        said = by_device[vehicle.devices[0].device_id]
        if vehicle.devices[0].device_id in silenced:
            continue
        for (before, message), (after, _) in itertools.pairwise(said):
            promised_s = message.get("next_report_s", 0)
            assert after.send_ms - before.send_ms < max(27 * 60, promised_s + 300) * 1000


def test_positions_move_at_speeds_that_a_vehicle_can_drive(day):
    plan, _, by_device = day
    wired = {vehicle.devices[0].device_id for vehicle in plan.vehicles}
    hops = fast = 0
    for device_id in wired:
        fixes = sorted((m["fix_time"], m) for _, m in by_device[device_id] if m.get("fix_valid"))
        for (_, a), (_, b) in itertools.pairwise(fixes):
            seconds = (
                to_ms(datetime.fromisoformat(b["fix_time"])) - to_ms(datetime.fromisoformat(a["fix_time"]))
            ) / 1000
            if seconds < 20:
                continue
            hops += 1
            metres = distance_m(to_local(a["lat"], a["lon"]), to_local(b["lat"], b["lon"]))
            fast += metres / seconds * 3.6 > 140
            assert 0 <= b["speed_kmh"] <= 140
    assert hops > 5_000
    assert fast <= hops / 1_000  # multipath jumps, which nothing flags


def test_no_ordinary_trip_leaves_the_region_and_no_ordinary_stay_is_in_a_risk_fence():
    plan = a_day(vehicles=80, name="quiet", days=9)
    border = Border(tuple(plan.city.region))
    risky = [Border(tuple(place.outline())) for kind in ("second_pledge", "impound", "used_car_market")
             for place in plan.city.of(kind)]  # fmt: skip
    drives = 0
    for vehicle in plan.vehicles:
        for leg in plan.legs(vehicle):
            assert all(fence.is_outside(leg.spot) for fence in risky)
            if leg.trip is not None:
                drives += 1
                assert not any(border.is_outside(point) for point in leg.trip.points)
    assert drives > 1_000
    assert plan.labels() == []


def test_legs_follow_each_other_without_gaps_in_time_or_place(day):
    plan = day[0]
    for vehicle in plan.vehicles:
        for a, b in itertools.pairwise(plan.legs(vehicle)):
            assert a.end_ms == b.start_ms
            assert distance_m(a.trip.points[-1] if a.trip else a.spot, b.spot) < 0.6


def test_every_incident_of_a_day_has_a_label(day):
    plan = day[0]
    labelled = {label.vehicle_id for label in plan.labels()}
    assert set(plan.incidents) == labelled
    assert sum(len(incidents) for incidents in plan.incidents.values()) == 30
    kinds = {incident.kind for incidents in plan.incidents.values() for incident in incidents}
    assert kinds == {label.kind for label in plan.labels()}


def test_alarm_labels_have_the_alarm_in_the_reports_and_no_other_device_sounds_one(day):
    plan, _, by_device = day
    expected = {(label.scope, ALARM_OF[label.rule]) for label in plan.labels() if label.rule in ALARM_OF}
    sounded = {
        (device_id, alarm)
        for device_id, said in by_device.items()
        for _, message in said
        for alarm in message.get("alarms", ())
    }
    assert sounded == expected


def test_a_silence_label_is_a_silence_and_a_tampered_one_starts_with_its_alarm(day):
    plan, _, by_device = day
    dark = {label.scope for label in plan.labels() if label.rule == "TAMPER_THEN_DARK"}
    labels = [label for label in plan.labels() if label.rule == "DEVICE_OFFLINE"]
    assert dark
    assert {label.scope for label in labels} > dark
    for label in labels:
        end_ms = min(label.end_ms, plan.end_ms)
        times = [r.t_ms for r, _ in by_device[label.scope] if label.start_ms <= r.t_ms < end_ms]
        longest = max(b - a for a, b in itertools.pairwise([label.start_ms, *sorted(times), end_ms]))
        assert longest >= (30 * 60_000 if label.scope in dark else 3 * HOUR_MS)
        if label.scope in dark:
            held = [
                m
                for r, m in by_device[label.scope]
                if label.start_ms <= r.t_ms < label.start_ms + 60 * 60_000
            ]
            assert held[0]["alarms"] == ["power_cut"]
            assert all(m["ext_power_v"] < 5 for m in held)


def test_a_tow_moves_the_vehicle_with_the_ignition_off(day):
    plan, _, by_device = day
    tows = [label for label in plan.labels() if label.rule == "TOW_SUSPECTED"]
    assert tows
    owner = {vehicle.vehicle_id: vehicle for vehicle in plan.vehicles}
    for label in tows:
        device_id = owner[label.vehicle_id].devices[0].device_id
        during = [m for r, m in by_device[device_id] if label.start_ms <= r.t_ms < label.end_ms]
        assert not any(message["ignition"] for message in during)
        points = [to_local(m["lat"], m["lon"]) for m in during]
        assert distance_m(points[0], points[-1]) > 600
        assert sum(message["speed_kmh"] > 20 for message in during) > 6


def test_a_vehicle_in_the_lenders_yard_stays_there_until_its_incident(day):
    plan = day[0]
    exits = {label.vehicle_id: label for label in plan.labels() if label.kind == "yard_exit"}
    yard = Border(tuple(plan.city.of("yard")[0].outline()))
    kept = [vehicle for vehicle in plan.vehicles if vehicle.collateral_form == "pledge"]
    assert set(exits) <= {vehicle.vehicle_id for vehicle in kept}
    for vehicle in kept:
        for leg in plan.legs(vehicle):
            out = leg.trip is not None or yard.is_outside(leg.spot)
            assert (
                not out
                or exits[vehicle.vehicle_id].start_ms <= leg.start_ms <= exits[vehicle.vehicle_id].end_ms
            )


def test_the_odometer_never_runs_backwards_and_the_engine_charges_the_battery(day):
    plan, _, by_device = day
    for vehicle in plan.vehicles:
        said = sorted(by_device[vehicle.devices[0].device_id], key=lambda pair: pair[0].seq)
        odometers = [message["odometer_km"] for _, message in said]
        assert odometers == sorted(odometers)
        for _, message in said:
            if message["ignition"]:
                assert 13.3 < message["ext_power_v"] < 14.3
            elif message["ext_power_ok"]:
                assert 11.9 < message["ext_power_v"] < 13.0


def test_a_storm_strikes_many_vehicles_within_half_an_hour():
    plan = a_day(vehicles=100, name="storm")
    starts = [label.start_ms for label in plan.labels()]
    assert len({label.vehicle_id for label in plan.labels()}) == 30
    assert max(starts) - min(starts) <= 2 * HOUR_MS


def test_an_unknown_scenario_is_refused_by_name():
    with pytest.raises(Rejected, match="'nonsense'"):
        a_day(name="nonsense")
