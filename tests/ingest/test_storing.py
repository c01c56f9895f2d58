"""What a committed batch leaves behind: reports, latest positions, statuses, the account."""

from datetime import UTC, datetime, timedelta
from typing import ClassVar

import pytest
from psycopg.errors import DivisionByZero

from core.clock import DataClock, from_ms, to_ms, wall_now
from core.telemetry import store as reading
from core.telemetry.partitions import Partitions
from ingest.store import fold_ledger
from tests.fix_ingest import delivery, minutes_ago, position


def test_what_is_stored_reads_back_as_what_was_judged(pipeline):
    """The rules see the report live and again in a replay: both must be the same to the last bit."""
    report = position(
        "d1", 1, minutes_ago(3), lat=30.123456789012345, lon=-117.98765432109876, fix_source="gnss",
        motion=True, ext_power_ok=False, batt_v=3.71, mode="live", next_report_s=30, buffered=True,
        alarms=["tow", "震动", 'a,"b{}'], sat=9,
    )  # fmt: skip
    bare = {"v": 1, "device_id": "d1", "type": "heartbeat", "boot_id": -5, "seq": -(2**63),
            "device_time": to_ms(minutes_ago(2))}  # fmt: skip
    attempt = pipeline.put(delivery(report, bare))
    live = [item.known for item in attempt.fresh]
    stored = reading.reports_of_vehicle(pipeline.conn, "car-1")
    assert stored == sorted(live, key=lambda one: one.order)
    assert stored[0].alarms == ("tow", "震动", 'a,"b{}')


def test_late_reports_never_move_the_latest_position_back(pipeline):
    pipeline.put(delivery(position("d1", 5, minutes_ago(1))))
    pipeline.put(delivery(position("d1", 4, minutes_ago(30)), position("d1", 6, minutes_ago(20))))
    assert pipeline.ask("SELECT seq FROM latest_position") == [(5,)]
    pipeline.put(delivery(position("d1", 7, fix_valid=False), position("d1", 8, lat=None, type="alarm")))
    assert pipeline.ask("SELECT seq FROM latest_position") == [(5,)]
    moment = minutes_ago(0)
    pipeline.put(delivery(position("d1", 10, moment), position("d1", 9, moment)))
    assert pipeline.ask("SELECT seq FROM latest_position") == [(10,)]


def test_a_conflicting_repeat_does_not_reach_the_latest_position(pipeline):
    moment = minutes_ago(1)
    pipeline.put(delivery(position("d1", 1, moment, fix_valid=False)))
    attempt = pipeline.put(delivery(position("d1", 1, moment, lat=10.0)))
    assert attempt.counts.dup_conflict == 1
    assert pipeline.counts("latest_position") == (0,)


def test_repeats_of_a_conflict_are_conflicts_and_repeats_of_the_stored_are_duplicates(pipeline):
    moment = minutes_ago(1)
    first, other = position("d1", 1, moment), position("d1", 1, moment, speed_kmh=1.0)
    pipeline.put(delivery(first))
    counts = pipeline.put(delivery(other, other, first, first)).counts
    assert (counts.inserted, counts.duplicate, counts.dup_conflict) == (0, 2, 2)


def test_an_undated_report_is_stored_once_and_its_repeats_are_counted(pipeline):
    lost_clock = position("d1", 1, datetime(1970, 1, 1, tzinfo=UTC), alarms=["removal"])
    assert pipeline.put(delivery(lost_clock, lost_clock)).counts.undated_duplicate == 1
    counts = pipeline.put(delivery(lost_clock, lost_clock | {"sat": 3})).counts
    assert (counts.undated, counts.undated_duplicate, counts.dup_conflict) == (0, 1, 1)


def test_the_status_of_a_device_follows_its_newest_report(pipeline):
    pipeline.put(delivery(position("d1", 5, minutes_ago(1), ext_power_v=13.0, mode="live")))
    pipeline.put(delivery(position("d1", 4, minutes_ago(60), ext_power_v=1.0, mode="sleep")))
    pipeline.put(delivery(position("d1", 6, minutes_ago(0.5), ext_power_v=None)))
    pipeline.put(delivery(position("d1", 7, datetime(1970, 1, 1, tzinfo=UTC), ext_power_v=2.0)))
    [(seq, volts, mode, heard)] = pipeline.ask(
        "SELECT seq, ext_power_v, mode, last_received > now() - interval '1 minute' FROM device_status"
    )
    assert (seq, volts, mode, heard) == (6, 13.0, "live", True)


def test_the_vehicle_is_the_one_the_device_was_in_at_the_time_of_the_report(pipeline):
    moved = minutes_ago(30)
    pipeline.conn.execute("UPDATE device_binding SET valid_to = %s WHERE device_id = 'd1'", (moved,))
    pipeline.conn.execute(
        "INSERT INTO device_binding (device_id, vehicle_id, valid_from) VALUES ('d1', 'car-2', %s)", (moved,)
    )
    pipeline.put(delivery(position("d1", 1, minutes_ago(40)), position("d1", 2, minutes_ago(20))))
    assert pipeline.ask("SELECT vehicle_id FROM telemetry ORDER BY seq") == [("car-1",), ("car-2",)]


def test_a_change_of_the_registry_is_seen_by_the_next_batch(pipeline):
    pipeline.put(delivery(position("stranger", 1), device_id="stranger"))
    pipeline.conn.execute("INSERT INTO device (device_id, shard) VALUES ('stranger', 3)")
    pipeline.put(delivery(position("stranger", 2), device_id="stranger"))
    assert pipeline.ask("SELECT seq FROM telemetry") == [(2,)]


class Recorder:
    """Stands where the rules stand and remembers; may fail on purpose."""

    def __init__(self, error=None):
        self.error, self.seen, self.said = error, [], []

    def apply(self, conn, reports, *, now_ms):
        self.seen.append(reports)
        if self.error:
            conn.execute(self.error)

    def committed(self):
        self.said.append("committed")

    def rolled_back(self):
        self.said.append("rolled back")


def test_the_rules_see_only_what_is_new_and_alarms_without_a_time_at_their_receipt(pipeline):
    rules = pipeline.tools.rules = Recorder()
    moment = minutes_ago(1)
    pipeline.put(delivery(position("d1", 1, moment)))
    removed = position("d1", 2, datetime(1970, 1, 1, tzinfo=UTC), alarms=["removal"])
    silent = position("d1", 3, datetime(1970, 1, 1, tzinfo=UTC))
    unbound = delivery(position("d9", 1), device_id="d9")
    pipeline.put(delivery(position("d1", 1, moment), removed, silent), unbound)
    [[first], [alarm]] = rules.seen
    assert (first.seq, first.vehicle_id) == (1, "car-1")
    assert (alarm.seq, alarm.type, alarm.t_ms) == (2, "alarm", alarm.received_ms)
    assert not alarm.has_position
    assert rules.said[-2:] == ["committed", "committed"]


def test_rules_that_fail_leave_the_reports_and_queue_the_vehicle_from_its_first_report(pipeline):
    rules = pipeline.tools.rules = Recorder("SELECT 1 / 0")
    moment = minutes_ago(5)
    pipeline.put(delivery(position("d1", 2), position("d1", 1, moment)))
    assert pipeline.counts("telemetry", "ingest_incident") == (2, 1)
    [(vehicle_id, replay_from)] = pipeline.ask("SELECT vehicle_id, replay_from FROM replay_request")
    assert (vehicle_id, to_ms(replay_from)) == ("car-1", to_ms(moment))
    assert set(rules.said) == {"rolled back"}


def test_a_deadlock_in_the_rules_is_a_reason_to_try_again_and_not_their_failure(pipeline):
    rules = pipeline.tools.rules = Recorder("DO $$ BEGIN RAISE SQLSTATE '40P01'; END $$")
    with pytest.raises(Exception, match=r"40P01|deadlock") as failed:
        pipeline.put(delivery(position("d1", 1)))
    assert not isinstance(failed.value, DivisionByZero)
    assert pipeline.counts("telemetry", "ingest_incident", "replay_request") == (0, 0, 0)
    assert set(rules.said) == {"rolled back"}


def test_under_the_data_clock_files_of_any_age_are_dated_and_time_follows_them(pipeline):
    clock = pipeline.tools.clock = DataClock()
    old = datetime(2008, 5, 17, 12, tzinfo=UTC)
    counts = pipeline.put(
        delivery(position("d1", 1, old), position("d1", 2, old + timedelta(hours=1)))
    ).counts
    assert (counts.inserted, counts.undated) == (2, 0)
    assert clock.now() == old + timedelta(hours=1)
    assert pipeline.ask(
        "SELECT data_seen, (SELECT max(received_at) FROM telemetry) FROM telemetry_clock"
    ) == [(old + timedelta(hours=1), old + timedelta(hours=1))]
    pipeline.put(delivery(position("d1", 3, old - timedelta(days=900))))
    assert clock.now() == old + timedelta(hours=1)


def test_a_partition_that_somebody_dropped_is_made_again(pipeline):
    if pipeline.ask("SELECT 1 FROM pg_extension WHERE extname = 'timescaledb'"):
        pytest.skip("TimescaleDB makes its own chunks")
    pipeline.put(delivery(position("d1", 1)))
    day = wall_now().date()
    pipeline.conn.execute(f"DROP TABLE telemetry_{day:%Y%m%d}")
    pipeline.conn.execute("DELETE FROM telemetry_partition WHERE day = %s", (day,))
    pipeline.put(delivery(position("d1", 2)))
    assert pipeline.ask("SELECT seq FROM telemetry") == [(2,)]


def test_two_processes_that_need_the_same_day_make_it_once(pipeline):
    day = {datetime(2020, 2, 29, tzinfo=UTC).date()}
    for partitions in (Partitions(), Partitions()):
        with pipeline.conn.transaction():
            assert partitions.ensure(pipeline.conn, day) == set()
    assert pipeline.ask("SELECT count(*) FROM telemetry_partition") == [(1,)]


def test_folding_the_ledger_keeps_every_sum(pipeline):
    for seq in range(5):
        pipeline.put(delivery(position("d1", seq), position("d1", seq, lat="x")), delivery(b""))
    pipeline.conn.execute("UPDATE ingest_ledger SET committed_at = committed_at - interval '3 days'")
    pipeline.put(delivery(position("d1", 99)))
    total = "SELECT sum(n_batches), sum(n_received), sum(n_inserted), sum(n_quarantined), sum(n_dead) FROM ingest_ledger"
    before = pipeline.ask(total)
    with pipeline.conn.transaction():
        assert fold_ledger(pipeline.conn, timedelta(days=2)) in (1, 2)
    assert pipeline.ask(total) == before
    assert pipeline.ask("SELECT count(*) FROM ingest_ledger WHERE source = 'mqtt'") == [(1,)]


def test_times_are_stored_to_the_millisecond_before_and_after_the_epoch_of_postgres(pipeline):
    pipeline.tools.clock = DataClock()
    moments = [1, 946_684_799_999, 946_684_800_001, 1_479_945_600_123]
    pipeline.put(*(delivery(position("d1", n) | {"fix_time": ms}) for n, ms in enumerate(moments)))
    assert [t for (t,) in pipeline.ask("SELECT t FROM telemetry ORDER BY t")] == [
        from_ms(ms) for ms in moments
    ]


def test_one_vehicle_that_breaks_the_rules_is_cornered_and_the_others_are_judged(pipeline):
    class Picky(Recorder):
        judged: ClassVar[list] = []

        def apply(self, conn, reports, *, now_ms):
            if any(report.vehicle_id == "car-3" for report in reports):
                conn.execute("SELECT 1 / 0")
            self.judged.extend(report.vehicle_id for report in reports)

    pipeline.tools.rules = Picky()
    pipeline.put(*(delivery(position(f"d{n}", 1), device_id=f"d{n}") for n in range(1, 8)))
    assert sorted(Picky.judged) == [f"car-{n}" for n in (1, 2, 4, 5, 6, 7)]
    assert pipeline.ask("SELECT vehicle_id, reason FROM replay_request") == [("car-3", "engine_failure")]
    assert pipeline.ask("SELECT facts ->> 'first' FROM ingest_incident") == [('["car-3"]',)]
    assert pipeline.counts("telemetry") == (7,)


def test_the_same_incident_within_a_minute_is_told_once(pipeline):
    pipeline.tools.rules = Recorder("SELECT 1 / 0")
    for seq in range(3):
        pipeline.put(delivery(position("d1", seq)))
    assert pipeline.counts("ingest_incident") == (1,)
