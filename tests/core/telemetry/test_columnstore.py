"""The columnstore: what settles when, and that late reports reach a compressed chunk whole (TimescaleDB)."""

from datetime import timedelta

import psycopg
import pytest

from core.clock import from_ms, to_ms
from core.db.pool import connect
from core.db.timescale import detect
from core.telemetry import store as reading
from core.telemetry.storage.chunks import store
from core.telemetry.storage.chunks.columnstore import settle_chunks
from core.telemetry.storage.erasing.domain import Scope
from core.telemetry.storage.erasing.erase import erase
from core.telemetry.storage.rollups.refresh import refresh_rollups
from core.telemetry.writing.store import move_reports
from tests.core.telemetry.test_rollups import agree
from tests.fix_storage import NOW, drive, put

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


def test_one_statement_may_unpack_more_rows_than_the_default_limit_allows(timescale):
    """A device that is moved to another vehicle, or erased, takes all its compressed rows in one statement."""
    many = drive("d1", OLD.replace(hour=0), 101_000, every_s=0.8, kmh=0.0)
    put(timescale, many)
    settle_chunks(timescale, NOW)
    spans = [("van", OLD - DAY, NOW)]
    timescale.execute("SET timescaledb.max_tuples_decompressed_per_dml_transaction = 100000")
    with pytest.raises(psycopg.errors.ConfigurationLimitExceeded):
        move_reports(timescale, "d1", None, spans)
    timescale.execute("RESET timescaledb.max_tuples_decompressed_per_dml_transaction")
    with timescale.transaction():
        assert move_reports(timescale, "d1", None, spans) == len(many) + 1  # and the latest position
    settle_chunks(timescale, NOW)
    # The whole but the first minute and the last: batches that go in part have to be unpacked.
    begin, end = from_ms(many[0].t_ms) + timedelta(minutes=1), from_ms(many[-1].t_ms) - timedelta(minutes=1)
    with timescale.transaction():
        timescale.execute("SET LOCAL timescaledb.max_tuples_decompressed_per_dml_transaction = 1")
        gone = erase(timescale, Scope("vehicle", "van", begin, end), "asked", "anna")
    assert 0 < len(many) - gone.counts["telemetry"] < 200


def test_a_new_length_of_chunks_leaves_those_that_exist_alone(timescale):
    put(timescale, drive("d1", OLD, 3))
    assert store.chunk_interval(timescale) == DAY
    store.set_chunk_interval(timescale, timedelta(hours=6))
    put(timescale, drive("d1", OLD + 3 * DAY, 3, first_seq=9))
    assert store.chunk_interval(timescale) == timedelta(hours=6)
    assert [chunk.ends - chunk.starts for chunk in store.chunks(timescale)] == [DAY, timedelta(hours=6)]
