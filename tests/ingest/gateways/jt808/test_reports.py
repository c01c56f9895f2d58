"""Location bodies become wire reports: units, time zone, bits, items, and what cannot be read."""

import contextlib
import json
import struct
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import partial

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core import wire
from core.domain.report import ALARMS
from core.errors import Misconfigured, Rejected
from ingest.gateways.jt808.dialects import load_dialects
from ingest.gateways.jt808.framing import Framer
from ingest.gateways.jt808.header import parse_header
from ingest.gateways.jt808.messages import (
    decode_answer,
    decode_authentication,
    decode_batch,
    decode_registration,
)
from ingest.gateways.jt808.reports import report_of, sequence_of, unreadable
from simulator.terminals import jt808 as terminal
from tests.ingest.gateways.jt808.test_frames import PUBLIC_0200, PUBLIC_0704

DIALECTS = load_dialects()
S2013, S2019 = DIALECTS.choose(is_2019=False), DIALECTS.choose(is_2019=True)
WIRELESS, WIRED = DIALECTS.known["wireless-g10"], DIALECTS.known["wired-g10"]
NOON = datetime(2026, 11, 22, 4, 0, 0, tzinfo=UTC)


def read(body, dialect=S2013, **options):
    return json.loads(report_of("d1", body, dialect, **options))


def test_the_public_location_report_says_what_its_description_says():
    [content] = Framer().feed(PUBLIC_0200)
    found = read(parse_header(content)[1])
    assert found == {
        "v": 1, "device_id": "d1", "type": "position", "boot_id": 0, "seq": found["seq"],
        "fix_time": "2018-10-15T02:10:10Z", "fix_valid": True, "lat": 12.222222, "lon": 132.444444, "alt_m": 40,
        "speed_kmh": 6.0, "heading_deg": 0, "ext_power_ok": True, "ignition": False, "oil_cut": False,
        "circuit_cut": False, "lock": False, "odometer_km": 10.0, "fuel_l": 12.5, "alarms": ["sos"],
        "alarm_raw": "00000001", "status_raw": "00000002",
    }  # fmt: skip


def test_the_public_bulk_upload_holds_two_reports_without_a_fix():
    [content] = Framer().feed(PUBLIC_0704)
    batch = decode_batch(parse_header(content)[1])
    assert (len(batch.bodies), batch.blind_zone, batch.damaged) == (2, False, False)
    first, second = (read(body, S2019) for body in batch.bodies)
    assert (first["type"], first["device_time"], first["lat"], first["lon"]) == (
        "alarm", "2024-10-29T13:39:03Z", 31.000562, 121.451372,
    )  # fmt: skip
    assert (second["fix_valid"], second["ignition"], second["alarms"]) == (False, True, ["sos"])
    assert first["seq"] != second["seq"]


@given(
    lat=st.integers(-90_000_000, 90_000_000).filter(bool),
    lon=st.integers(-180_000_000, 180_000_000),
    speed=st.integers(0, 3000),
    heading=st.integers(0, 359),
    second=st.integers(0, 70 * 365 * 86_400),
)
def test_a_fix_keeps_its_place_time_speed_and_direction(lat, lon, speed, heading, second):
    moment = datetime(2015, 1, 1, tzinfo=UTC) + timedelta(seconds=second)
    body = terminal.location(moment, lat / 1e6, lon / 1e6, speed_kmh=speed / 10, heading_deg=heading)
    found = read(body)
    assert (found["type"], found["fix_valid"]) == ("position", True)
    assert (found["lat"], found["lon"]) == (
        pytest.approx(lat / 1e6, abs=1e-9),
        pytest.approx(lon / 1e6, abs=1e-9),
    )
    assert (found["speed_kmh"], found["heading_deg"]) == (speed / 10, heading)
    assert datetime.fromisoformat(found["fix_time"]) == moment


bodies = st.builds(
    lambda fixed, items: fixed + b"".join(bytes([id, len(value)]) + value for id, value in items),
    st.binary(min_size=28, max_size=28),
    st.lists(st.tuples(st.integers(0, 255), st.binary(max_size=200)), max_size=12),
)


@given(body=bodies | st.binary(max_size=1023), name=st.sampled_from(sorted(DIALECTS.known)))
def test_every_body_becomes_a_report_that_ingest_accepts_and_a_repeat_is_the_same_bytes(body, name):
    item = report_of("d1", body, DIALECTS.known[name])
    message, ext = wire.decode(item)
    assert (message.device_id, message.boot_id, message.seq) == ("d1", 0, sequence_of(body))
    assert ext is None or len(ext) <= wire.EXT_MAX_BYTES
    assert report_of("d1", body, DIALECTS.known[name]) == item
    if len(body) >= 28:
        assert message.type != "unreadable"  # a position or an alarm never goes down with a bad item


@given(st.binary(max_size=70_000))
def test_what_cannot_be_read_is_kept_within_the_limits_of_the_wire(body):
    message, ext = wire.decode(unreadable("d1", body, "short"))
    assert (message.type, message.fix_time, message.device_time) == ("unreadable", None, None)
    assert ext is not None


def test_an_alarm_without_date_or_place_keeps_its_words_and_has_no_time():
    found = read(terminal.location(None, 0, 0, alarm=1 << 8 | 1 << 30, status=0))
    assert (found["type"], found["alarms"], found["ext_power_ok"]) == (
        "alarm",
        ["power_cut", "rollover"],
        False,
    )
    assert {"fix_time", "device_time", "lat", "lon"}.isdisjoint(found)


def test_a_place_that_is_not_fixed_is_told_as_the_last_one_known():
    found = read(terminal.location(NOON, status=0b01))
    assert (found["type"], found["fix_valid"], found["device_time"]) == (
        "heartbeat",
        False,
        "2026-11-22T04:00:00Z",
    )
    assert (found["lat"], found["lon"]) == (31.230416, 121.473701)
    assert "speed_kmh" not in found


def test_impossible_speed_and_place_are_left_out_and_the_alarm_stays():
    body = struct.pack(">IIIIHHH", 1, 2, 200_000_000, 1, 0, 60_000, 999) + bytes.fromhex("261122120000")
    found = read(body)
    assert (found["type"], found["alarms"], found["fix_valid"]) == ("alarm", ["sos"], False)
    assert {"lat", "speed_kmh", "heading_deg"}.isdisjoint(found)


def test_the_same_report_from_the_blind_zone_has_the_same_identity_and_says_buffered():
    body = terminal.location(NOON)
    live, late = read(body), read(body, buffered=True)
    assert late == live | {"buffered": True}


def test_an_item_that_runs_over_the_end_costs_only_itself():
    body = terminal.location(NOON, alarm=1, items=[(0x01, (123456).to_bytes(4, "big"))]) + b"\x31\x09\x01"
    found = read(body)
    assert (found["type"], found["alarms"], found["odometer_km"]) == ("position", ["sos"], 12345.6)
    assert found["damaged"] == "310901"


@pytest.mark.parametrize(
    ("dialect", "bit", "words"),
    [
        (S2013, 15, []),
        (S2013, 31, ["door"]),
        (S2019, 16, ["tyre_pressure"]),
        (S2019, 17, ["right_turn_blind_area"]),
        (S2019, 31, []),
        (WIRELESS, 15, ["low_batt"]),
        (WIRELESS, 16, ["vibration"]),
        (WIRELESS, 17, ["removal"]),
        (WIRELESS, 28, ["displacement"]),
    ],
)
def test_one_alarm_bit_means_what_the_model_means_by_it(dialect, bit, words):
    assert read(terminal.location(NOON, alarm=1 << bit), dialect)["alarms"] == words


def test_a_wireless_tracker_says_nothing_of_the_ignition_and_tells_battery_voltage_and_signal():
    items = [(0x56, b"\x08\x00"), (0x61, (1384).to_bytes(2, "big")), (0x30, b"\x15"), (0x31, b"\x0b"),
             (0xF1, b"89860000000000000001"), (0xF4, (1 << 4).to_bytes(2, "big"))]  # fmt: skip
    found = read(terminal.location(NOON, status=0b11 | 1 << 6 | 1 << 11, items=items), WIRELESS)
    assert "ignition" not in found
    assert "ext_power_ok" not in found
    assert (found["batt_pct"], found["ext_power_v"], found["rssi_dbm"], found["sat"]) == (80, 13.84, -71, 11)
    assert (found["iccid"], found["armed"], found["alarms"]) == (
        "89860000000000000001", True, ["crash", "power_cut"],
    )  # fmt: skip
    wired = read(terminal.location(NOON, status=0b11 | 1 << 11), WIRED)
    assert (wired["ignition"], wired["ext_power_ok"]) == (True, False)


def test_crossing_an_area_needs_the_item_that_says_which_way():
    area = bytes([1]) + (7).to_bytes(4, "big")
    into = read(terminal.location(NOON, alarm=1 << 20, items=[(0x12, area + b"\x00")]))
    out = read(terminal.location(NOON, alarm=1 << 20, items=[(0x12, area + b"\x01")]))
    unsaid = read(terminal.location(NOON, alarm=1 << 20))
    assert (into["alarms"], out["alarms"], unsaid["alarms"]) == (["fence_in"], ["fence_out"], [])


def test_items_without_a_meaning_are_kept_as_bytes_and_sleep_is_a_mode():
    found = read(terminal.location(NOON, items=[(0xE1, b"\x01\x02"), (0x2A, b"\x00\x02")]))
    assert (found["items"], found["mode"]) == ({"e1": "0102"}, "sleep")


def test_every_word_that_the_rules_know_is_spelt_as_they_spell_it():
    known = {"sos", "overspeed", "antenna_cut", "antenna_short", "low_ext", "power_cut", "illegal_ignition",
             "displacement", "crash", "rollover", "door", "low_batt", "vibration", "removal"}  # fmt: skip
    used = {word for dialect in DIALECTS.known.values() for _, word in dialect.alarm_words}
    assert known <= used
    assert known <= ALARMS


def test_a_dialect_is_chosen_by_name_then_model_then_version():
    assert DIALECTS.choose("wired-g10", "G10LS", is_2019=False).name == "wired-g10"
    assert DIALECTS.choose(None, "G10LS", is_2019=True).name == "wireless-g10"
    assert DIALECTS.choose(None, None, "X1", is_2019=True).name == "standard-2019"


@pytest.fixture
def dialect_folder(tmp_path):
    for name in ("standard-2013", "standard-2019"):
        text = f'name = "{name}"\n[time]\nutc_offset_h = 8\n[position]\ndatum = "wgs84"\n'
        (tmp_path / f"{name}.toml").write_text(text, encoding="utf-8")
    return tmp_path


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("[alarm_bits]\n99 = 'sos'", "bit 0 to 31"),
        ("[alarm_bits]\n1 = 5", "expected a word"),
        ("[items.zz]\nfield = 'a'\nkind = 'u8'", "two hex digits"),
        ("[items.01]\nfield = 'a'\nkind = 'u64'", "expected kind"),
        ("[items.01]\nkind = 'u8'", "field goes with"),
        ("[items.01]\nfield = 'a'\nkind = 'u8'\nscael = 2", "scael"),
        ("[position]\ndatum = 'mars'", "datum"),
        ("extends = 'nobody'", "extends"),
        ("name = [", "expected TOML"),
    ],
)
def test_a_mistake_in_a_dialect_stops_the_start_and_names_the_file(dialect_folder, text, complaint):
    head = "" if text.startswith("name") else 'name = "mine"\n'
    if "extends" not in text:
        head += 'extends = "standard-2013"\n'
    (dialect_folder / "mine.toml").write_text(head + text, encoding="utf-8")
    with pytest.raises(Misconfigured, match=r"mine\.toml") as told:
        load_dialects(dialect_folder)
    assert complaint in told.value.message


def test_gcj02_positions_of_a_dialect_say_their_datum(dialect_folder):
    text = (
        'name = "shifted"\nextends = "standard-2013"\n[position]\ndatum = "gcj02"\n[time]\nutc_offset_h = 0\n'
    )
    (dialect_folder / "shifted.toml").write_text(text, encoding="utf-8")
    found = read(terminal.location(NOON), load_dialects(dialect_folder).known["shifted"])
    assert (found["crs"], found["fix_time"]) == ("gcj02", "2026-11-22T12:00:00Z")


@pytest.mark.parametrize("version", [None, 1])
def test_registrations_are_read_with_their_chinese_plate(version):
    body = terminal.registration(plate="粤B·测试9", version=version)
    who = decode_registration(body, is_2019=version is not None)
    assert who == ("PWSIM", "SIM-808", "SIM0001", "粤B·测试9")


def test_a_registration_of_2011_has_a_shorter_model():
    body = bytes(4) + b"PWSIM" + b"SIM808  " + b"SIM0001" + b"\x02" + "京A1".encode("gbk")
    assert decode_registration(body, is_2019=False) == ("PWSIM", "SIM808", "SIM0001", "京A1")


@given(body=st.binary(max_size=200), is_2019=st.booleans())
def test_any_body_of_any_message_is_read_or_refused(body, is_2019):
    decoders: list[Callable[[bytes], object]] = [
        partial(decode_registration, is_2019=is_2019), partial(decode_authentication, is_2019=is_2019),
        decode_answer, decode_batch,
    ]  # fmt: skip
    for decode in decoders:
        with contextlib.suppress(Rejected):  # any other exception would end the connection
            assert decode(body) is not None


@given(st.lists(st.binary(max_size=60), max_size=8), st.integers(0, 40))
def test_a_bulk_upload_cut_short_keeps_what_came_before_the_cut(items, lost):
    body = terminal.bulk(items, blind_zone=True)
    cut = body[: max(3, len(body) - lost)]
    batch = decode_batch(cut)
    assert list(batch.bodies) == items[: len(batch.bodies)]
    assert batch.damaged == (cut != body)
    assert batch.blind_zone
