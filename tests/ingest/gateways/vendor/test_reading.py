"""What a vendor's item becomes: one report, the same each time; what cannot be read is kept, not dropped."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path
from typing import Any

import pytest

from core.errors import Misconfigured, Upstream
from core.geo.frames import to_wgs84
from core.wire import decode
from ingest.domain import Delivery
from ingest.gateways.vendor.reading import items_of, messages_of, read_item
from ingest.gateways.vendor.source import Source, load_source, read_source
from tests.fix_ingest import minutes_ago

ROOT = Path(__file__).resolve().parents[4]
DECLARED = """
items = "data.list"
datum = "gcj02"
optional = ["speed"]
[pull]
url = "https://cloud.example/positions"
cursor = "since"
newest = "id"
[device]
field = "imei"
prefix = "acme-"
ids = { "9" = "d1" }
[time]
field = "gps_time"
format = "%Y-%m-%d %H:%M:%S"
zone = "Asia/Shanghai"
[fields]
"loc.lat" = "lat"
"loc.lng" = "lon"
speed = "speed_kmh"
acc = "ignition"
mode = "mode"
[scale]
lat = 1e-6
lon = 1e-6
speed_kmh = 1.852
[values.mode]
"1" = "live"
"2" = "sleep"
[alarms]
field = "alarm"
words = { "3" = "power_cut", "7" = "removal" }
"""


def source(text: str = DECLARED, **changes: str) -> Source:
    for before, after in changes.items():
        text = text.replace(before, after)
    return read_source(tomllib.loads(text), "acme")


def item(**changes: Any) -> dict[str, Any]:
    return {
        "id": 1, "imei": "77", "gps_time": "2026-11-22 11:04:05", "speed": 10, "acc": "1", "mode": 2,
        "loc": {"lat": 31230416, "lng": 121473701}, "alarm": "3,99",
    } | changes  # fmt: skip


def test_an_item_becomes_a_report_in_our_words_units_and_time():
    read = read_item(item(), source())
    said = json.loads(read.body)
    assert read.good
    assert read.device_id == said["device_id"] == "acme-77"
    assert (said["lat"], said["lon"], said["speed_kmh"]) == (31.230416, 121.473701, 18.52)
    assert (said["ignition"], said["mode"], said["fix_time"]) == (True, "sleep", "2026-11-22T03:04:05Z")
    assert (said["alarms"], said["vendor_alarms"], said["crs"]) == (["power_cut"], ["99"], "gcj02")
    decode(read.body)


def test_the_same_item_is_the_same_report_and_another_is_not():
    again = read_item(item(), source())
    assert again.body == read_item(item(id=2), source()).body
    assert json.loads(again.body)["seq"] != json.loads(read_item(item(speed=11), source()).body)["seq"]


@pytest.mark.parametrize(
    ("format_", "value"),
    [
        ("epoch_s", 1_763_780_645), ("epoch_s", "1763780645.0"), ("epoch_ms", 1_763_780_645_000),
        ("rfc3339", "2025-11-22T11:04:05+08:00"), ("%d.%m.%Y %H:%M:%S", "22.11.2025 11:04:05"),
    ],
)  # fmt: skip
def test_each_declared_form_of_time_is_read(format_, value):
    read = read_item(item(gps_time=value), source(**{"%Y-%m-%d %H:%M:%S": format_}))
    assert json.loads(read.body)["fix_time"] == "2025-11-22T03:04:05Z"


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"gps_time": "yesterday"}, "bad_time"), ({"gps_time": None}, "bad_time"),
        ({"loc": {"lat": "north", "lng": 1}}, "bad_number"), ({"speed": float("inf")}, "bad_number"),
        ({"acc": "perhaps"}, "bad_word"), ({"mode": 5}, "bad_word"), ({"imei": {}}, "bad_device"),
        ({"imei": "a/b"}, "bad_device"), ({"imei": None}, "bad_device"),
        ({"speed": 10**400}, "bad_number"), ({"speed": "x", "odd": 10**30}, "bad_number"),
        ({"acc": "1", "alarm": ",".join(["3"] * 2_000)}, "too_long"),
    ],
)  # fmt: skip
def test_an_item_that_cannot_be_read_is_kept_with_its_reason(changes, reason):
    read = read_item(item(**changes, note="长" * 2_000), source())
    said = json.loads(read.body)
    assert not read.good
    assert (said["type"], said["reason"]) == ("unreadable", reason)
    assert read.device_id == ("vendor-acme" if reason == "bad_device" else "acme-77")
    assert "imei" in said["item"]
    decode(read.body)


def test_reports_are_stored_in_wgs84_once_and_the_unreadable_beside_them(pipeline):
    moment = minutes_ago(3).strftime("%Y-%m-%d %H:%M:%S")
    utc = source(**{"Asia/Shanghai": "UTC"})
    items = [item(imei="9", gps_time=moment), item(imei="9", gps_time="?"), item(imei="nobody-knows-it")]
    for _ in range(2):
        messages = messages_of(read_item(one, utc) for one in items)
        assert len(messages) == 2
        attempt = pipeline.put(*[Delivery(None, topic, payload, 0.0) for topic, payload in messages])
    assert (attempt.counts.duplicate, attempt.counts.undated_duplicate) == (1, 1)
    [(lat, lon)] = pipeline.ask("SELECT lat, lon FROM telemetry")
    expected = to_wgs84(121.473701, 31.230416, "gcj02")
    assert (lon, lat) == pytest.approx(expected, abs=1e-9)
    [(ext,)] = pipeline.ask("SELECT ext FROM telemetry_undated")
    assert ext["reason"] == "bad_time"
    assert pipeline.quarantined() == {"unknown_device": 2}


def test_many_reports_of_a_device_are_cut_into_messages_that_fit():
    reports = [read_item(item(speed=number), source()) for number in range(450)]
    messages = messages_of(reports)
    assert [len(json.loads(payload)) for _, payload in messages] == [200, 200, 50]
    assert all(len(payload) <= 64 * 1024 for _, payload in messages)


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"<html>", "bad_json"), (b'{"data": {"rows": []}}', "schema_drift"), (b'{"data": {"list": {}}}', "schema_drift"),
        (b'{"data": {"list": [1]}}', "schema_drift"), (b'{"data": {"list": [{"imei": "1"}]}}', "schema_drift"),
        (b"[" * 100_000, "bad_json"),
    ],
)  # fmt: skip
def test_a_page_of_another_form_is_drift_and_not_data(body, code):
    with pytest.raises(Upstream) as refused:
        items_of(body, source())
    assert refused.value.code == code


def test_the_example_that_is_shipped_is_a_right_declaration():
    example = load_source(ROOT / "deploy" / "vendors" / "example.toml")
    assert (example.datum, example.pull is not None, example.push) == ("gcj02", True, None)


@pytest.mark.parametrize(
    "changes",
    [
        {'datum = "gcj02"': ""}, {'"gcj02"': '"mars"'}, {'"loc.lat" = "lat"': '"loc.lat" = "latitude"'},
        {'newest = "id"': ""}, {'newest = "id"': 'newest = "id"\nnext = "n"'}, {"https://": "ftp://"},
        {'zone = "Asia/Shanghai"': ""}, {"Asia/Shanghai": "Asia/Nowhere"}, {"lat = 1e-6": "altitude = 1e-6"},
        {"[alarms]": "[alarm]"}, {'speed = "speed_kmh"': 'speed = "lat"'},
    ],
)  # fmt: skip
def test_a_declaration_with_a_mistake_is_refused(changes):
    with pytest.raises(Misconfigured):
        source(**changes)
