import csv
import json
from datetime import datetime
from pathlib import Path

import pytest
from typer.testing import CliRunner

from geofence.rules import RULES
from pledgewatch.cli import app
from tests.geofence.drives import START_MS, at, drive, park, place

SHARED = Path(__file__).parents[3] / "shared" / "data"
COLUMNS = [
    "vehicle_id", "rule", "scope", "event", "event_time", "detected_time", "lat", "lon", "severity", "evidence",
]  # fmt: skip


def track(path, *reports, extra=""):
    with path.open("w", newline="") as out:
        writer = csv.writer(out)
        writer.writerow(["vehicle_id", "ts", "lat", "lon", "speed_kmh", "alarms"])
        for r in reports:
            writer.writerow([r.vehicle_id, r.t_ms / 1000, r.lat, r.lon, r.speed_kmh, ";".join(r.alarms)])
        out.write(extra)
    return path


def fence(path, category=None):
    (south, west), (north, east) = place(0, -1000), place(5000, 1000)
    ring = [[west, south], [east, south], [east, north], [west, north], [west, south]]
    properties = {"category": category} if category else {}
    feature = {
        "type": "Feature",
        "id": "f",
        "properties": properties,
        "geometry": {"type": "Polygon", "coordinates": [ring]},
    }
    path.write_text(json.dumps({"type": "FeatureCollection", "features": [feature]}))
    return path


def replayed(tmp_path, *reports, category=None, shuffle=False):
    rows = reversed(reports) if shuffle else reports
    tracks, out = track(tmp_path / "t.csv", *rows), tmp_path / "events.csv"
    run = CliRunner().invoke(
        app,
        [
            "replay",
            "--tracks",
            str(tracks),
            "--fences",
            str(fence(tmp_path / "f.json", category)),
            "--out",
            str(out),
            "--json",
        ],
        catch_exceptions=False,
    )
    assert run.exit_code == 0, run.output
    with out.open() as events:
        return list(csv.DictReader(events)), json.loads(run.stdout.splitlines()[-1])


def test_events_have_the_columns_and_forms_of_the_contract(tmp_path):
    events, summary = replayed(tmp_path, *drive(0, 300, -2000, 3000), *park(330, 900, 3000))
    assert list(events[0]) == COLUMNS
    (entered,) = [e for e in events if e["rule"] == "FENCE"]
    assert (entered["event"], entered["scope"], entered["severity"]) == ("enter", "f", "")
    assert datetime.fromisoformat(entered["event_time"]).timestamp() == pytest.approx(
        START_MS / 1000 + 120, abs=1
    )
    assert entered["event_time"].endswith("Z")
    assert json.loads(entered["evidence"])["fence_version"] == 1
    assert summary["reports"] == 22
    assert summary["fences"] == 1


def test_order_and_repeats_in_the_file_change_nothing(tmp_path):
    reports = [*drive(0, 300, -2000, 3000), *park(330, 900, 3000)]
    once, _ = replayed(tmp_path, *reports)
    shuffled, summary = replayed(tmp_path, *reports, *reports[:7], shuffle=True)
    assert shuffled == once
    assert summary["repeats"] == 7


def test_silences_inside_the_file_are_offline_and_the_end_of_the_file_is_not(tmp_path):
    events, _ = replayed(tmp_path, at(0), at(30), at(4000), at(4030))
    offline = [
        (e["event"], datetime.fromisoformat(e["event_time"]).timestamp() - START_MS / 1000)
        for e in events
        if e["rule"] == "DEVICE_OFFLINE"
    ]
    assert offline == [("raise", 1830.0), ("clear", 4000.0)]


def test_a_fence_of_allowed_region_binds_every_vehicle_of_the_file(tmp_path):
    events, _ = replayed(
        tmp_path, at(0, 100), *park(600, 3000, -3000, every_s=300), category="allowed_region"
    )
    assert [e["event"] for e in events if e["rule"] == "LEFT_ALLOWED_REGION"] == ["raise"]


def test_bad_input_is_one_line_and_writes_nothing(tmp_path):
    from core.errors import Rejected

    tracks, out = track(tmp_path / "t.csv", at(0), extra="v,never,1,2,3,\n"), tmp_path / "events.csv"
    run = CliRunner().invoke(app, ["replay", "--tracks", str(tracks), "--out", str(out)])
    assert isinstance(run.exception, Rejected)
    assert run.exception.message.startswith("Line 3: expected ")
    assert not out.exists()


def test_the_catalogue_names_every_rule_with_its_thresholds():
    run = CliRunner().invoke(app, ["rules", "list", "--json"], catch_exceptions=False)
    listed = json.loads(run.stdout)["rules"]
    names = {
        "LEFT_ALLOWED_REGION", "RISK_PLACE_VISIT", "TOW_SUSPECTED", "EXTERNAL_POWER_CUT", "DEVICE_REMOVED",
        "GNSS_JAMMING", "DEVICE_OFFLINE", "TAMPER_THEN_DARK",
    }  # fmt: skip
    assert {rule.name for rule in RULES} == names
    assert {rule["name"] for rule in listed} == names | {"DATA_GAP"}  # judged from the ledger of gaps
    assert all(rule["thresholds"] for rule in listed)
    assert {rule["name"] for rule in listed if rule["latched"]} == {
        "RISK_PLACE_VISIT", "EXTERNAL_POWER_CUT", "DEVICE_REMOVED", "TAMPER_THEN_DARK",
    }  # fmt: skip
    assert "TOW_SUSPECTED [C-01] P1" in CliRunner().invoke(app, ["rules", "list"]).stdout
