"""How far telemetry is complete: what the sweeper may judge silence by."""

import json
from datetime import UTC, datetime, timedelta

from core.clock import DataClock, ScaledClock, from_ms, to_ms, wall_now
from core.domain.report import Report
from core.telemetry import store as reading
from ingest.domain import Probe
from ingest.preparing import read_probe
from ingest.watermark import AHEAD_MS, FLEET_OF, HEARD_WITHIN_MS, Watermark
from tests.fix_ingest import delivery, minutes_ago, position
from tests.fix_stack import eventually

NOON_MS = to_ms(datetime(2026, 11, 22, 12, tzinfo=UTC))


class FixedClock:
    bounded = True

    def __init__(self, now_ms):
        self.now_ms = now_ms

    def now(self):
        return from_ms(self.now_ms)


def report(device_id, t_ms, received_ms):
    return Report(device_id, t_ms, 1, 1, "position", received_ms)


def heard(watermark, devices, t_ms, received_ms=None):
    watermark.observe(report(f"d{n}", t_ms, received_ms or t_ms) for n in range(devices))


def test_a_few_devices_are_complete_up_to_the_probe():
    watermark = Watermark(0, FixedClock(NOON_MS))
    heard(watermark, FLEET_OF - 1, NOON_MS - 3_000_000)
    assert watermark.through(Probe(0, NOON_MS)) == from_ms(NOON_MS)


def test_a_fleet_that_lags_behind_holds_the_mark_near_its_newest_report():
    watermark = Watermark(0, FixedClock(NOON_MS))
    newest = NOON_MS - 3_000_000
    heard(watermark, FLEET_OF, newest, received_ms=NOON_MS - 1000)
    assert watermark.through(Probe(0, NOON_MS)) == from_ms(newest + AHEAD_MS)


def test_a_fleet_that_fell_silent_as_one_holds_the_mark_until_one_of_it_speaks_again():
    watermark = Watermark(0, FixedClock(NOON_MS))
    newest = NOON_MS - 5 * HEARD_WITHIN_MS
    heard(watermark, FLEET_OF, newest)
    assert watermark.through(Probe(0, NOON_MS)) == from_ms(newest + AHEAD_MS)
    heard(watermark, 1, NOON_MS - 1000)
    assert watermark.through(Probe(0, NOON_MS)) == from_ms(NOON_MS)


def test_a_current_fleet_is_complete_up_to_the_probe_and_never_beyond():
    watermark = Watermark(0, FixedClock(NOON_MS))
    heard(watermark, FLEET_OF, NOON_MS + 300_000)
    assert watermark.through(Probe(0, NOON_MS)) == from_ms(NOON_MS)


def test_under_the_data_clock_the_mark_is_the_newest_event_stored():
    watermark = Watermark(0, DataClock())
    assert watermark.through(Probe(0, 0)) == from_ms(0)
    watermark.observe([report("d1", NOON_MS, NOON_MS), report("d1", NOON_MS - 5, NOON_MS)])
    assert watermark.through(Probe(0, NOON_MS * 2)) == from_ms(NOON_MS)


def test_a_probe_carries_telemetry_time_and_strangers_bytes_are_no_probe():
    start = wall_now() - timedelta(days=30)
    clock = ScaledClock(start, 1000.0, anchored_at=wall_now())
    probe = read_probe(Watermark(3, clock).probe())
    assert probe is not None
    assert abs(probe.sent_at_ms - to_ms(wall_now())) < 5_000
    assert probe.telemetry_ms < probe.sent_at_ms - 86_400_000
    for stranger in (b"", b"[]", b"{", b'{"sent_at_ms": "now"}'):
        assert read_probe(stranger) is None


def test_the_mark_never_moves_back(pipeline):
    watermark = Watermark(0, FixedClock(NOON_MS))
    for telemetry_ms in (NOON_MS, NOON_MS - 60_000):
        with pipeline.conn.transaction():
            watermark.save(pipeline.conn, Probe(telemetry_ms, telemetry_ms))
    assert reading.watermark(pipeline.conn) == from_ms(NOON_MS)


def test_a_new_worker_remembers_the_fleet_that_the_old_one_had_heard(pipeline):
    pipeline.conn.execute(
        "INSERT INTO device (device_id, shard) SELECT 'fleet-' || n, n %% 64 FROM generate_series(1, %s) n",
        (FLEET_OF,),
    )
    newest = minutes_ago(30)
    for number in range(1, FLEET_OF + 1):
        device_id = f"fleet-{number}"
        pipeline.put(delivery(position(device_id, 1, newest), device_id=device_id))
    watermark = Watermark(0, pipeline.tools.clock)
    with pipeline.conn.transaction():
        watermark.recall(pipeline.conn, 1)
    mark = watermark.through(Probe(to_ms(wall_now()), to_ms(wall_now())))
    assert abs(to_ms(mark) - to_ms(newest) - AHEAD_MS) < 2
    other = Watermark(1, pipeline.tools.clock)
    with pipeline.conn.transaction():
        other.recall(pipeline.conn, 2)
    assert other.through(Probe(0, NOON_MS)) == from_ms(NOON_MS), "half a fleet is on the other slot"


def test_an_idle_worker_raises_the_mark_every_second_and_a_dead_one_does_not(ingest_rig):
    rig = ingest_rig
    worker = rig.start_and_wait()

    def mark():
        rows = rig.ask("SELECT received_until, probe_sent_at FROM time_watermark")
        return rows[0] if rows else None

    first = eventually(mark, what="a first mark")
    later = eventually(
        lambda: (now := mark()) and now[0] > first[0] + timedelta(seconds=1) and now, what="a later mark"
    )
    assert abs((wall_now() - later[0]).total_seconds()) < 30
    worker.kill()
    dead = mark()
    started = rig.ask("SELECT clock_timestamp()")[0][0]
    eventually(
        lambda: rig.ask("SELECT clock_timestamp()")[0][0] > started + timedelta(seconds=2.5),
        what="time to pass",
    )
    assert mark() == dead
    assert json.loads(Watermark(0, FixedClock(NOON_MS)).probe())["telemetry_ms"] == NOON_MS
