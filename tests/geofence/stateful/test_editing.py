"""Fences put into force: versions, repeats, and who is judged again."""

from __future__ import annotations

import json
import threading
from dataclasses import replace

import pytest
import shapely

from core.clock import from_ms
from core.db.pool import connect
from geofence.editing import put_in_force, reach
from geofence.fences import Fence
from geofence.oracle import compare
from geofence.replayer import Replayer
from geofence.store.fences import all_versions
from geofence.store.replays import pending
from geofence.writer import RuleWriter
from tests.fix_stack import eventually
from tests.geofence.stateful.fleet import (
    LAT,
    LON,
    MINUTE,
    START_MS,
    TIMEZONE,
    ingest,
    register,
    report,
    serve_replays,
    store_reports,
)

NOW_MS = START_MS + 60 * MINUTE


@pytest.fixture
def conn(database_url):
    with connect(database_url, name="test-editing", autocommit=True) as connection:
        register(connection, "v1")
        yield connection


@pytest.fixture
def writer():
    return RuleWriter(timezone=TIMEZONE)


def square(fence_id="shop", lat=LAT, lon=LON, side=0.004, **fields):
    half = side / 2
    return Fence(
        id=fence_id, name=fence_id, category=fields.pop("category", "second_pledge"),
        geometry=shapely.box(lon - half, lat - half, lon + half, lat + half), **fields,
    )  # fmt: skip


def edit(conn, *fences, now_ms=NOW_MS):
    with conn.transaction():
        return put_in_force(conn, fences, now_ms=now_ms, created_by="test")


def no_difference(conn):
    serve_replays(conn, Replayer(timezone=TIMEZONE))
    compared = compare(conn, timezone=TIMEZONE)
    assert compared.differences == ()


def raised(conn):
    rows = conn.execute(
        "SELECT rule FROM finding_current WHERE event = 'raise' ORDER BY event_time"
    ).fetchall()
    return [row[0] for row in rows]


def test_a_new_fence_has_always_been_there_and_the_same_again_changes_nothing(conn):
    assert edit(conn, square(), square("other", lon=LON + 1)).added == ("shop", "other")
    again = edit(conn, square(), square("other", lon=LON + 1))
    assert (again.added, again.changed, again.unchanged) == ((), (), ("shop", "other"))
    rows = conn.execute(
        "SELECT fence_id, version, valid_from::text, valid_to::text FROM fence ORDER BY 1"
    ).fetchall()
    assert rows == [("other", 1, "-infinity", "infinity"), ("shop", 1, "-infinity", "infinity")]


@pytest.mark.parametrize(
    "change",
    [{"side": 0.006}, {"name": "新店"}, {"category": "pawn"}, {"dwell_s": 600}, {"hysteresis_m": 20.0}],
    ids=str,
)
def test_a_changed_fence_is_a_new_version_from_now_on(conn, change):
    edit(conn, square())
    fence = square(**{k: v for k, v in change.items() if k != "name"})
    fence = replace(fence, name=change.get("name", fence.name))
    assert edit(conn, fence).changed == ("shop",)
    rows = conn.execute("SELECT version, valid_from::text, valid_to FROM fence WHERE version = 1").fetchall()
    assert rows[0][:2] == (1, "-infinity")
    assert rows[0][2] == from_ms(NOW_MS)
    row = conn.execute("SELECT valid_from, valid_to::text FROM fence WHERE version = 2").fetchone()
    assert row == (from_ms(NOW_MS), "infinity")


def test_history_is_judged_by_a_new_fence_and_only_where_somebody_was_near(conn, writer):
    register(conn, "far", ("fd",))
    ingest(conn, writer, [report(m) for m in range(0, 40, 2)])
    ingest(conn, writer, [report(m, vehicle_id="far", device_id="fd", lat=LAT + 5) for m in range(0, 40, 2)])
    assert raised(conn) == []
    assert edit(conn, square()).replays == 1
    assert pending(conn, ["v1", "far"]) == {"v1"}
    no_difference(conn)
    assert raised(conn) == ["RISK_PLACE_VISIT"]


def test_a_passage_between_two_fixes_outside_a_new_fence_is_found_too(conn, writer):
    for minute, dlon in ((0, -0.05), (2, -0.03), (4, 0.03), (6, 0.05)):
        ingest(conn, writer, [report(minute, lon=LON + dlon, speed_kmh=80.0, ignition=True)])
    edit(conn, square(category="region"))
    no_difference(conn)
    events = {
        row[0] for row in conn.execute("SELECT event FROM finding_current WHERE rule = 'FENCE'").fetchall()
    }
    assert events & {"pass_probable", "pass_possible"}


def test_what_was_judged_by_the_old_version_stays_and_the_new_one_counts_from_now(conn, writer):
    edit(conn, square())
    for minute in range(0, 30, 2):
        ingest(conn, writer, [report(minute)])
    assert raised(conn) == ["RISK_PLACE_VISIT"]
    moved = edit(conn, square(lat=LAT + 0.1))
    assert (moved.changed, moved.replays) == (("shop",), 0)
    for vehicle_id, lat in (("at-old", LAT), ("at-new", LAT + 0.1)):
        register(conn, vehicle_id, (f"d-{vehicle_id}",))
        for minute in range(61, 100, 2):
            ingest(
                conn, writer, [report(minute, vehicle_id=vehicle_id, device_id=f"d-{vehicle_id}", lat=lat)]
            )
    no_difference(conn)
    rows = conn.execute(
        "SELECT vehicle_id, evidence->>'fence_version' FROM finding_current"
        " WHERE rule = 'RISK_PLACE_VISIT' AND event = 'raise' ORDER BY event_time"
    ).fetchall()
    assert rows == [("v1", "1"), ("at-new", "2")]


def test_reports_from_after_an_edit_that_were_already_judged_are_judged_again(conn, writer):
    for minute in range(0, 60, 2):
        ingest(conn, writer, [report(minute)])
    edit(conn, square(lat=LAT + 0.3), now_ms=START_MS)
    assert edit(conn, square(), now_ms=START_MS + 10 * MINUTE).replays == 1
    no_difference(conn)
    assert raised(conn) == ["RISK_PLACE_VISIT"]


def test_a_new_region_concerns_those_who_never_came_near_it(conn, writer):
    for minute in range(0, 100, 2):
        ingest(conn, writer, [report(minute, lat=LAT + 0.0005 * minute, speed_kmh=20.0)])
    assert edit(conn, square("province", lat=LAT + 8, side=2, category="allowed_region")).replays == 1
    no_difference(conn)
    assert "LEFT_ALLOWED_REGION" in raised(conn)


def test_a_batch_under_way_finishes_before_an_edit_and_is_judged_again(conn, writer, database_url):
    ingest(conn, writer, [report(0, lat=LAT + 5)])
    done = []

    def work():
        with connect(database_url, name="editor", autocommit=True) as mine:
            done.append(edit(mine, square()))

    thread = threading.Thread(target=work)
    with conn.transaction():
        writer.apply(conn, store_reports(conn, [report(m) for m in range(2, 40, 2)]), now_ms=NOW_MS)
        thread.start()
        with connect(database_url, name="watcher", autocommit=True) as watcher:
            eventually(
                lambda: watcher.execute(
                    "SELECT 1 FROM pg_stat_activity WHERE application_name = 'pledgewatch-editor' AND wait_event_type = 'Lock'"
                ).fetchone(),
                what="the edit waiting for the batch",
            )
    writer.committed()
    thread.join(10)
    assert done[0].replays == 1
    no_difference(conn)
    assert raised(conn) == ["RISK_PLACE_VISIT"]


def test_the_reach_of_a_fence_holds_the_meridian_and_the_poles():
    west, south, east, north = reach(square())
    assert west < LON - 0.5 < LON + 0.5 < east
    assert south < LAT - 0.4 < LAT + 0.4 < north
    assert reach(square(lon=179.9))[0::2] == (-180.0, 180.0)
    assert reach(square(lat=89.0))[0::2] == (-180.0, 180.0)


def test_every_kind_of_fence_survives_the_table(conn, writer):
    circle = Fence(
        id="c", name="圈", category="yard", kind="circle", geometry=shapely.Point(LON, LAT), radius_m=120.5
    )
    road = Fence(
        id="r", category="benign", kind="corridor", width_m=80.0, datum="gcj02", dwell_s=60,
        geometry=shapely.LineString([(LON, LAT), (LON + 0.1, LAT)]), scope="vehicle", hysteresis_m=15.0,
    )  # fmt: skip
    edit(conn, circle, road, square())
    assert edit(conn, circle, road, square()).unchanged == ("c", "r", "shop")
    assert [row["id"] for row in all_versions(conn)] == ["c", "r", "shop"]


def run_cli(monkeypatch, database_url, *arguments):
    from typer.testing import CliRunner

    from pledgewatch.cli import app

    monkeypatch.setenv("PLEDGEWATCH_DATABASE_URL", database_url)
    monkeypatch.setenv("PLEDGEWATCH_MQTT_URL", "mqtt://127.0.0.1:1")
    return CliRunner().invoke(app, ["fences", *map(str, arguments)])


def test_the_command_imports_a_file_and_says_what_it_refused(conn, database_url, monkeypatch, tmp_path):
    ring = [[LON, LAT], [LON + 0.01, LAT], [LON + 0.01, LAT + 0.01], [LON, LAT + 0.01], [LON, LAT]]
    file = tmp_path / "places.geojson"
    good = {
        "type": "Feature",
        "id": "a",
        "properties": {"name": "甲"},
        "geometry": {"type": "Polygon", "coordinates": [ring]},
    }
    flat = {
        "type": "Feature",
        "id": "b",
        "properties": {},
        "geometry": {"type": "Polygon", "coordinates": [[ring[0], ring[1], ring[0]]]},
    }
    file.write_text(json.dumps({"type": "FeatureCollection", "features": [good, flat]}), encoding="utf-8")
    result = run_cli(
        monkeypatch, database_url, "import", file, "--category", "pawn", "--datum", "gcj02", "--json"
    )
    assert result.exit_code == 1, result.output
    summary = json.loads(result.stdout.strip().splitlines()[-1])
    assert (summary["added"], summary["refused"]) == (1, 1)
    assert "(b)" in summary["refusals"][0]
    assert conn.execute("SELECT category, datum, name FROM fence").fetchall() == [("pawn", "gcj02", "甲")]
    file.write_text(json.dumps(good), encoding="utf-8")
    result = run_cli(
        monkeypatch, database_url, "import", file, "--category", "pawn", "--datum", "gcj02", "--json"
    )
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout.strip().splitlines()[-1])["unchanged"] == 1
    result = run_cli(monkeypatch, database_url, "check", file, "--json")
    assert json.loads(result.stdout.strip().splitlines()[-1])["fences"] == 1


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["--category", "castle"], "castle"),
        (["--category", "pawn", "--datum", "mars"], "mars"),
    ],
)
def test_a_wrong_word_on_the_command_line_is_wrong_use(
    conn, database_url, monkeypatch, tmp_path, arguments, text
):
    file = tmp_path / "x.geojson"
    file.write_text('{"type": "FeatureCollection", "features": []}', encoding="utf-8")
    result = run_cli(monkeypatch, database_url, "import", file, *arguments)
    assert result.exit_code == 2
    assert text in result.output
