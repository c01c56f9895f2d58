"""The columnstore: what settles when, and that late reports reach a compressed chunk whole (TimescaleDB)."""

from datetime import timedelta

import pytest

from core.clock import to_ms
from core.db.pool import connect
from core.db.timescale import detect
from core.telemetry import store as reading
from core.telemetry.storage.chunks import store
from core.telemetry.storage.chunks.columnstore import settle_chunks
from core.telemetry.storage.rollups.refresh import refresh_rollups
from core.telemetry.writing.store import move_reports
from tests.core.telemetry.test_rollups import agree
from tests.fix_storage import NOW, drive, put, report

DAY = timedelta(days=1)
OLD = NOW - 30 * DAY


@pytest.fixture
def conn(database_url):
    with connect(database_url, name="test", autocommit=True) as connection:
        yield connection


@pytest.fixture
def timescale(conn):
    if detect(conn).timescaledb is None:
        pytest.skip("plain PostgreSQL has no columnstore")
    return conn


def test_plain_postgresql_has_nothing_to_compress(conn):
    if detect(conn).timescaledb:
        pytest.skip("TimescaleDB has")
    put(conn, drive("d1", OLD, 10))
    assert settle_chunks(conn, NOW) == 0
    assert store.totals(conn) == (0, 0, 0, 0)


def test_chunks_settle_eight_days_after_their_end(timescale):
    for age in (30, 9, 8, 1):
        put(timescale, drive("d1", NOW - age * DAY, 10, first_seq=age * 100))
    assert settle_chunks(timescale, NOW) == 2
    assert [chunk.compressed for chunk in store.chunks(timescale)] == [True, True, False, False]
    assert settle_chunks(timescale, NOW) == 0
    assert settle_chunks(timescale, NOW + DAY) == 1


def test_a_batch_of_repeats_and_new_rows_into_a_compressed_chunk_loses_nothing(timescale):
    """timescaledb #7672: such a statement once stopped at its first conflict and dropped the rest in silence."""
    fleet = [f"d{number}" for number in range(8)]
    stored = [one for device_id in fleet for one in drive(device_id, OLD, 600)]
    put(timescale, stored)
    refresh_rollups(timescale, NOW)
    settle_chunks(timescale, NOW)
    received = to_ms(NOW)
    late = [
        one
        for device_id in fleet
        for one in drive(device_id, OLD + timedelta(seconds=15), 500, first_seq=10_000, received_ms=received)
    ]
    mixed = sorted(stored[::3] + late, key=lambda one: (one.t_ms, one.device_id))
    assert put(timescale, mixed) == len(late)
    assert put(timescale, mixed) == 0
    for device_id in fleet:
        known = reading.reports_of_vehicle(timescale, f"car-{device_id}")
        assert [one.seq for one in known] == sorted(
            (one.seq for one in stored + late if one.device_id == device_id),
            key={one.seq: one.t_ms for one in stored + late if one.device_id == device_id}.__getitem__,
        )
    assert settle_chunks(timescale, NOW + timedelta(hours=1)) == 1
    assert store.totals(timescale).late_rows == len(late)
    assert settle_chunks(timescale, NOW + timedelta(hours=2)) == 0
    assert put(timescale, mixed) == 0
    refresh_rollups(timescale, NOW)
    agree(timescale, stored + late)


def test_late_rows_for_more_devices_than_the_default_limit_allows_are_stored(timescale):
    """Each repeat opens its compressed batch; 100,000 unpacked rows were the limit of a statement."""
    fleet = [f"d{number:03}" for number in range(130)]
    stored = [one for device_id in fleet for one in drive(device_id, OLD, 900)]
    put(timescale, stored)
    settle_chunks(timescale, NOW)
    again = [one for one in stored if one.seq in {1, 450, 898}]
    fresh = [report(device_id, 5_000, OLD + timedelta(seconds=7)) for device_id in fleet]
    assert put(timescale, again + fresh) == len(fleet)
    with timescale.transaction():
        far = NOW + 99 * DAY
        moved = sum(move_reports(timescale, device_id, None, [("van", OLD, far)]) for device_id in fleet)
    assert moved == len(stored) + len(fresh) + len(fleet)  # and the latest positions


def test_a_new_length_of_chunks_leaves_those_that_exist_alone(timescale):
    put(timescale, drive("d1", OLD, 3))
    assert store.chunk_interval(timescale) == DAY
    store.set_chunk_interval(timescale, timedelta(hours=6))
    put(timescale, drive("d1", OLD + 3 * DAY, 3, first_seq=9))
    assert store.chunk_interval(timescale) == timedelta(hours=6)
    assert [chunk.ends - chunk.starts for chunk in store.chunks(timescale)] == [DAY, timedelta(hours=6)]
