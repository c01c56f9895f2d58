"""DATA_GAP: raised when the device cannot have kept the reports, cleared by late data."""

from datetime import UTC, datetime, timedelta

import pytest

from alerts.intake import take_findings
from alerts.store import list_alerts
from collateral import bindings, provisioning
from core.clock import WallClock, wall_now
from core.db.pool import connect
from core.settings import Settings
from core.telemetry.gaps import reader, store
from geofence.gaps.judge import judge_gaps
from geofence.jobs import geofence_jobs

START = datetime(2026, 11, 1, 8, tzinfo=UTC)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)


class World:
    """Devices d1 and d2 with a counter; what arrives is queued, read and judged at chosen moments."""

    def __init__(self, conn):
        self.conn = conn

    def arrive(self, device_id, *numbers, every=HOUR, noticed=None, boot_id=1):
        with self.conn.transaction():
            store.log_known(self.conn, [(device_id, boot_id, n, START + n * every) for n in numbers])
        reader.catch_up(self.conn, noticed or START + max(numbers) * every)

    def judge(self, moment, days=7.0, by_model=None):
        with self.conn.transaction():
            found = judge_gaps(self.conn, moment, days=days, days_by_model=by_model or {})
        return [(f.event, f.device_id, f.vehicle_id) for f in found]

    def alerts(self):
        with self.conn.transaction():
            take_findings(self.conn, WallClock(), [])
            return list_alerts(self.conn)


@pytest.fixture
def world(database_url):
    with connect(database_url, name="test", autocommit=True) as conn:
        with conn.transaction():
            provisioning.add_device(conn, "d1", "car-1")
            provisioning.add_device(conn, "d2", "car-2")
            conn.execute("UPDATE device SET model = 'KX-20' WHERE device_id = 'd2'")
        yield World(conn)


def test_a_gap_is_told_when_the_buffer_is_outlived_and_not_before(world):
    world.arrive("d1", 1, 4)
    assert world.judge(START + 4 * HOUR + 7 * DAY) == []
    late = START + 4 * HOUR + 7 * DAY + HOUR
    assert world.judge(late) == [("raise", "d1", "car-1")]
    assert world.judge(late + HOUR) == []
    (alert,) = world.alerts()
    assert (alert.rule, alert.scope, alert.severity, alert.condition) == ("DATA_GAP", "d1", "P4", "active")
    assert alert.evidence["missing_reports"] == 2
    assert alert.evidence["gaps"][0] | {"after": "", "before": ""} == {
        "boot_id": 1, "from_seq": 2, "to_seq": 3, "missing": 2, "after": "", "before": "",
    }  # fmt: skip


def test_late_data_clears_it_only_when_nothing_overdue_is_missing(world):
    world.arrive("d1", 1, 3, 5)
    late = START + 8 * DAY
    assert world.judge(late) == [("raise", "d1", "car-1")]
    world.arrive("d1", 2, noticed=late)
    assert world.judge(late + HOUR) == []
    world.arrive("d1", 4, noticed=late + HOUR)
    assert world.judge(late + 2 * HOUR) == [("clear", "d1", "car-1")]
    (alert,) = world.alerts()
    assert (alert.condition, alert.evidence["open_gaps"]) == ("cleared", 2)
    assert world.judge(late + 3 * HOUR) == []


def test_a_model_has_a_buffer_of_its_own(world):
    world.arrive("d1", 1, 3)
    world.arrive("d2", 1, 3)
    assert world.judge(START + 4 * DAY, by_model={"KX-20": 3.0}) == [("raise", "d2", "car-2")]
    assert world.judge(START + 9 * DAY, by_model={"KX-20": 30.0}) == [("raise", "d1", "car-1")]


def test_an_upload_under_way_newest_first_is_left_to_settle(world):
    noticed = START + 20 * DAY
    world.arrive("d1", 1, 3, noticed=noticed)
    assert world.judge(noticed + HOUR / 2) == []
    assert world.judge(noticed + HOUR) == [("raise", "d1", "car-1")]


def test_a_long_hole_is_more_urgent_and_a_second_gap_speaks_again(world):
    world.arrive("d1", 1, 3)
    assert world.judge(START + 9 * DAY) == [("raise", "d1", "car-1")]
    world.arrive("d1", 40, noticed=START + 9 * DAY)
    assert world.judge(START + 10 * DAY) == [("raise", "d1", "car-1")]
    (alert,) = world.alerts()
    assert (alert.severity, alert.count, alert.evidence["open_gaps"]) == ("P3", 2, 2)


def test_the_vehicle_is_the_one_the_device_was_in_when_the_reports_were_lost(world):
    with world.conn.transaction():
        provisioning.add_device(world.conn, "d3", "car-3")
        bindings.bind(world.conn, [bindings.Placement("d1", "car-3")], at=START + 2 * DAY)
    world.arrive("d1", 1, 3)
    assert world.judge(START + 9 * DAY) == [("raise", "d1", "car-1")]
    world.arrive("d1", 72, 74, noticed=START + 9 * DAY)
    told = world.judge(START + 12 * DAY)
    assert told == [("clear", "d1", "car-1"), ("raise", "d1", "car-3")]
    assert {(a.vehicle_id, str(a.condition)) for a in world.alerts()} == {
        ("car-1", "cleared"),
        ("car-3", "active"),
    }


def test_a_device_out_of_service_is_neither_told_of_nor_left_standing(world):
    world.arrive("d1", 1, 3)
    assert world.judge(START + 9 * DAY) == [("raise", "d1", "car-1")]
    with world.conn.transaction():
        provisioning.revoke(world.conn, "d1")
        provisioning.revoke(world.conn, "d2")
    world.arrive("d2", 1, 3)
    assert world.judge(START + 10 * DAY) == [("clear", "d1", "car-1")]


def test_the_job_reads_and_judges_in_one_go(world, database_url, tmp_path):
    settings = Settings(database_url=database_url, data_dir=tmp_path, gap_buffer_days=1, _env_file=None)
    (job,) = [job for job in geofence_jobs(settings) if job.name == "geofence-gaps"]
    with world.conn.transaction():
        store.log_known(world.conn, [("d1", 1, n, wall_now() - 9 * DAY) for n in (1, 3)])
    job.work(world.conn)
    world.conn.execute("UPDATE telemetry_gap SET opened_at = opened_at - interval '2 hours'")
    job.work(world.conn)
    assert [alert.rule for alert in world.alerts()] == ["DATA_GAP"]
