"""Hourly and daily rollups, on whichever store the tests run: the views must say what the reports say."""

import random
import threading
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from core.clock import to_ms
from core.db.pool import connect
from core.domain.report import Report
from core.telemetry.storage.rollups import store
from core.telemetry.storage.rollups.refresh import refresh_rollups
from core.telemetry.writing.store import move_reports
from tests.fix_storage import NOW, brute_rollups, drive, put, report

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)


@pytest.fixture
def conn(database_url):
    with connect(database_url, name="test", autocommit=True) as connection:
        yield connection


def told(conn, grain):
    rows = conn.execute(f"SELECT {store.COLUMNS} FROM {store.VIEWS[grain]}").fetchall()
    keys = [row[:3] for row in rows]
    assert len(keys) == len(set(keys)), "an hour is told twice"
    return {row[:3]: row[3:] for row in rows}


def agree(conn, reports):
    for grain, width in (("hour", HOUR), ("day", DAY)):
        was, expected = told(conn, grain), brute_rollups(reports, width)
        assert was.keys() == expected.keys()
        for key, values in expected.items():
            assert was[key][-1] == values[-1], key
            assert was[key][:-1] == pytest.approx(values[:-1], rel=1e-9, abs=1e-6), key


def lively(seed: int, devices: int = 4, days: int = 3, per_day: int = 60) -> list[Report]:
    """Disorder, jumps, silence, missing speeds, bad fixes, two vehicles a device, both sides of 180 degrees."""
    rng = random.Random(seed)
    reports = []
    for device in range(devices):
        lat, lon, t = 30.0 + device, 179.99 if device == 1 else 121.0, NOW - timedelta(days=days)
        for seq in range(days * per_day):
            t += timedelta(seconds=rng.choice((5, 30, 30, 300, 1_500, 4_000)))
            lat, lon = lat + rng.uniform(-0.004, 0.004), lon + rng.uniform(-0.004, 0.004)
            if lon > 180:
                lon -= 360
            said: dict[str, Any] = {"lat": lat + (1.5 if rng.random() < 0.03 else 0.0), "lon": lon}
            said["speed_kmh"] = rng.choice((None, 0.0, 3.0, 42.0, 88.5))
            said["accuracy_m"] = rng.choice((None, 5.0, 50.0, 800.0))
            said["fix_source"] = rng.choice((None, "gnss", "lbs"))
            if rng.random() < 0.1:
                said |= {"fix_valid": False, "lat": None, "lon": None}
            said["vehicle_id"] = None if device == 3 else f"car-{device}{'b' if seq > per_day else ''}"
            if t < NOW:
                reports.append(report(f"r{device}", seq, t, **said))
    return reports


def test_rollups_say_what_brute_force_says_before_and_after_every_refresh(conn):
    reports = lively(1)
    random.Random(2).shuffle(reports)
    third = len(reports) // 3
    for part, now in enumerate((NOW - DAY, NOW, NOW)):
        put(conn, reports[part * third : (part + 1) * third if part < 2 else None])
        refresh_rollups(conn, now)
    agree(conn, reports)


def test_reports_younger_than_the_refresh_are_in_the_views_at_once(conn):
    old, new = drive("d1", NOON, 200), drive("d1", NOON + DAY, 50, first_seq=500)
    put(conn, old)
    refresh_rollups(conn, NOON + timedelta(hours=12))
    put(conn, new)
    agree(conn, old + new)


def test_a_late_report_changes_its_hour_and_its_day_at_the_next_refresh(conn):
    reports = drive("d1", NOON, 120)
    late, kept = reports[40:60], reports[:40] + reports[60:]
    put(conn, kept)
    refresh_rollups(conn, NOW)
    agree(conn, kept)
    put(conn, late)
    earlier_day = drive("d2", NOON - timedelta(days=30), 10)
    put(conn, earlier_day)
    refresh_rollups(conn, NOW)
    agree(conn, reports + earlier_day)


def test_reports_that_change_vehicle_take_their_hours_along(conn):
    put(conn, drive("d1", NOON, 240))
    refresh_rollups(conn, NOW)
    turn = NOON + timedelta(minutes=30)
    far = datetime(2100, 1, 1, tzinfo=UTC)
    with conn.transaction():
        move_reports(conn, "d1", None, [("van", NOON - DAY, turn), ("lorry", turn, far)])
    refresh_rollups(conn, NOW)
    moved = drive("d1", NOON, 240)
    agree(conn, [_in(one, "van" if one.t_ms < to_ms(turn) else "lorry") for one in moved])


def _in(one: Report, vehicle_id: str) -> Report:
    fields = {name: getattr(one, name) for name in one.__struct_fields__}
    return Report(**(fields | {"vehicle_id": vehicle_id}))


def test_the_jitter_of_a_parked_vehicle_is_no_distance(conn):
    rng = random.Random(3)
    parked = [
        report(
            "d1", n, NOON + timedelta(seconds=30 * n), speed_kmh=0.4,
            lat=31.2 + rng.gauss(0, 0.0001), lon=121.4 + rng.gauss(0, 0.0001),
        )
        for n in range(600)
    ]  # fmt: skip
    put(conn, parked)
    assert {
        (row.distance_m, row.moving_s) for row in store.of_vehicle(conn, "hour", "car-d1", NOON, NOW)
    } == {(0.0, 0.0)}


def test_a_local_day_adds_up_the_hours_of_the_device_that_saw_it_drive_farthest(conn):
    midnight = datetime(2026, 11, 19, 16, tzinfo=UTC)  # in Shanghai
    put(conn, drive("d1", midnight - timedelta(minutes=10), 21, vehicle_id="v", kmh=36.0))
    put(conn, drive("d2", midnight, 11, vehicle_id="v", kmh=72.0))
    days = store.local_days(conn, "v", midnight - DAY, midnight + DAY, "Asia/Shanghai")
    assert [(day.day.isoformat(), day.device_id, round(day.distance_m)) for day in days] == [
        ("2026-11-19", "d1", 5_700),
        ("2026-11-20", "d2", 6_000),
    ]


def test_nothing_is_missed_or_counted_twice_while_writers_and_refreshes_run(conn, database_url):
    reports = lively(5, devices=3, days=2, per_day=80)
    random.Random(6).shuffle(reports)
    parts = [reports[n::20] for n in range(20)]
    failed: list[BaseException] = []

    def write() -> None:
        try:
            with connect(database_url, name="test", autocommit=True) as own:
                while parts:
                    put(own, parts.pop())
        except BaseException as exc:
            failed.append(exc)

    put(conn, parts.pop())
    writers = [threading.Thread(target=write) for _ in range(2)]
    for writer in writers:
        writer.start()
    moment = NOW - DAY
    while any(writer.is_alive() for writer in writers):
        moment = min(NOW, moment + HOUR)
        refresh_rollups(conn, moment)
    for writer in writers:
        writer.join()
    assert failed == []
    refresh_rollups(conn, NOW)
    agree(conn, reports)
