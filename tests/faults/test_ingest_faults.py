"""Whatever is killed, cut or started twice: nothing acknowledged is lost, nothing is stored twice."""

import os
import random
import signal
import threading
from pathlib import Path

import pytest

from core.db.migrate import migrate
from core.db.pool import connect
from ingest.slots.lease import client_id
from pledgewatch.embedded.postgres import EmbeddedPostgres
from tests.faults.test_ingest_oracle import mutant, waits_for_the_table
from tests.fix_ingest import IngestRig, minutes_ago, position
from tests.fix_stack import eventually
from tests.mqtt_talk import Talker

DEVICES = ("d1", "d2", "d3")


class Traffic:
    """Devices that keep on reporting while things break."""

    def __init__(self, rig, per_device):
        self._rig = rig
        self._per_device = per_device
        self._thread = threading.Thread(target=self._run)
        self.sent = 0
        for device_id in DEVICES:
            rig.talker(device_id)

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._thread.join()

    def _run(self):
        for seq in range(self._per_device):
            for device_id in DEVICES:
                self._rig.report(device_id, position(device_id, seq, minutes_ago(80 - seq / 100)))
                self.sent += 1
            threading.Event().wait(0.002)

    def await_share(self, share):
        eventually(lambda: self.sent >= share * self._per_device * len(DEVICES), within_s=60, what="traffic")


def stored_everything(rig, **options):
    found = rig.checked(wait_s=90, **options)
    assert (found.lost, found.ghost, found.stored_twice) == (0, 0, 0), found
    assert found.stored == found.acknowledged == len(rig.rows)
    assert rig.ask("SELECT count(*) FROM telemetry")[0][0] == len(rig.rows)
    return found


@pytest.mark.slow
def test_a_worker_killed_three_times_under_load_loses_and_doubles_nothing(ingest_rig):
    rig = ingest_rig
    rig.register(*DEVICES)
    worker = rig.start_and_wait()
    chance = random.Random(20261122)
    with Traffic(rig, 500) as traffic:
        for share in (0.2, 0.5, 0.8):
            traffic.await_share(share)
            threading.Event().wait(chance.uniform(0, 0.2))
            worker.kill()
            worker = rig.start_and_wait()
    stored_everything(rig)
    assert rig.ask("SELECT count(*) FROM ingest_incident WHERE kind = 'broker_session_lost'") == [(0,)]


@pytest.mark.slow
def test_a_database_killed_under_load_stalls_and_then_everything_is_stored(fresh_broker, tmp_path):
    """A server of its own, with fsync, since it is killed."""
    with EmbeddedPostgres(tmp_path / "pg") as server:
        migrate(server.dsn)
        rig = IngestRig(server.dsn, fresh_broker, tmp_path)
        try:
            rig.register(*DEVICES)
            worker = rig.start_and_wait()
            with Traffic(rig, 400) as traffic:
                traffic.await_share(0.3)
                assert server.pid is not None
                os.kill(server.pid, signal.SIGKILL)
                eventually(lambda: not server.running, what="the death of the server")
                traffic.await_share(0.6)
                rig.database_url = server.start()
                traffic.await_share(0.8)
                rig.ask(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name LIKE 'pledgewatch-ingest%%'"
                )
            assert worker.process.poll() is None, "a lost database must not end the process"
            stored_everything(rig)
        finally:
            rig.close()


@pytest.mark.slow
def test_a_connection_taken_over_by_a_stranger_is_won_back(ingest_rig):
    rig = ingest_rig
    rig.register(*DEVICES)
    rig.start_and_wait()
    with Traffic(rig, 200) as traffic:
        traffic.await_share(0.3)
        stranger = Talker(
            rig.broker.host, rig.broker.port, client_id(0), "ingest", rig.broker.ingest_password, clean=False,
            manual_ack=True,
        ).connected()  # fmt: skip
        traffic.await_share(0.6)
        eventually(lambda: stranger.disconnects, what="the worker winning its session back")
        stranger.close()
    stored_everything(rig)
    assert rig.ask("SELECT connections >= 2 FROM ingest_slot") == [(True,)]


@pytest.mark.slow
def test_a_worker_that_slept_through_its_lease_cannot_commit_when_it_wakes(ingest_rig):
    rig = ingest_rig
    rig.register(*DEVICES)
    sleeper = rig.start_and_wait()
    first_epoch = rig.ask("SELECT epoch FROM ingest_slot")[0][0]
    with Traffic(rig, 300) as traffic:
        traffic.await_share(0.3)
        sleeper.process.send_signal(signal.SIGSTOP)
        rig.start()
        eventually(
            lambda: rig.ask("SELECT 1 FROM ingest_slot WHERE epoch > %s", first_epoch),
            within_s=75,  # asleep inside a transaction, it holds its slot until the database ends that
            what="the second worker's lease",
        )
        sleeper.process.send_signal(signal.SIGCONT)
    eventually(lambda: "lease_lost" in sleeper.log_text(), within_s=30, what="the sleeper giving up")
    stored_everything(rig)
    epochs = rig.ask("SELECT DISTINCT epoch FROM ingest_ledger ORDER BY 1")
    assert len(epochs) == 2


@pytest.mark.slow
def test_two_slots_are_shared_by_two_processes_and_survive_the_death_of_one(ingest_rig):
    rig = ingest_rig
    rig.register(*DEVICES)
    rig.settings["PLEDGEWATCH_INGEST_SLOTS"] = "2"
    first = rig.start_and_wait()
    rig.start_and_wait()
    owners = rig.ask("SELECT count(DISTINCT owner) FROM ingest_slot WHERE owner IS NOT NULL")
    assert owners == [(2,)]
    with Traffic(rig, 200) as traffic:
        traffic.await_share(0.5)
        first.kill()
    stored_everything(rig, slots=2)


@pytest.mark.slow
def test_a_broker_restarted_in_good_order_keeps_what_it_accepted(ingest_rig):
    rig = ingest_rig
    rig.register("d1")
    worker = rig.start_and_wait()
    assert worker.stop() == 0
    for seq in range(30):
        rig.report("d1", position("d1", seq, minutes_ago(5)))
    rig.await_acks()
    rig.broker.embedded.stop()
    rig.broker.embedded.start()
    rig.start_and_wait()
    stored_everything(rig)


@pytest.mark.slow
def test_a_session_that_the_broker_forgot_is_an_incident_and_not_a_silence(ingest_rig):
    rig = ingest_rig
    rig.register("d1")
    worker = rig.start_and_wait()
    worker.stop()
    rig.broker.embedded.stop()
    for saved in Path(rig.broker.embedded.folder).rglob("*.db"):
        saved.unlink()
    rig.broker.embedded.start()
    rig.start_and_wait()
    eventually(
        lambda: rig.ask("SELECT 1 FROM ingest_incident WHERE kind = 'broker_session_lost'"),
        what="the incident",
    )
    rig.talkers.clear()
    rig.report("d1", position("d1", 1))
    stored_everything(rig)


@pytest.mark.slow
def test_a_ten_megabyte_packet_and_another_devices_topic_hurt_nobody_else(ingest_rig):
    rig = ingest_rig
    rig.register(*DEVICES)
    rig.start_and_wait()
    rig.report("d1", position("d1", 1))
    rig.await_acks()
    rig.send("d2", b"[" + b" " * 10_000_000 + b"]")
    eventually(lambda: rig.talkers["d2"].disconnects, what="the broker refusing the packet")
    rig.talkers["d3"] = rig.talker("d3")
    rig.talkers["d3"].send("pw/v1/00/d1/telemetry", b'{"v": 1}')
    rig.report("d1", position("d1", 2))
    rig.report("d3", position("d3", 1))
    stored_everything(rig)
    assert rig.ask("SELECT count(*) FROM quarantine") == [(0,)]


@pytest.mark.slow
def test_an_engine_that_kills_the_process_twice_is_left_out_and_the_vehicles_are_queued(ingest_rig):
    rig = ingest_rig
    rig.register("d1")
    worker = rig.start_and_wait()
    worker.stop()
    for seq in range(10):
        rig.report("d1", position("d1", seq, minutes_ago(5)))
    rig.await_acks()
    for _ in range(2):
        victim = rig.start(mutant("die_in_the_rules"))
        assert victim.process.wait(timeout=60) == 9
    assert rig.ask("SELECT count(*) FROM telemetry") == [(0,)]
    rig.start(mutant("die_in_the_rules"))
    stored_everything(rig)
    assert rig.ask("SELECT vehicle_id, reason FROM replay_request") == [("car-d1", "engine_failure")]
    assert rig.ask("SELECT bool_or(without_rules) FROM ingest_ledger") == [(True,)]


@pytest.mark.slow
def test_an_engine_that_fails_never_blocks_storage(ingest_rig):
    rig = ingest_rig
    rig.register("d1")
    rig.start_and_wait(mutant("fail_in_the_rules"))
    for seq in range(10):
        rig.report("d1", position("d1", seq, minutes_ago(5)))
    stored_everything(rig)
    assert rig.ask("SELECT vehicle_id, reason FROM replay_request") == [("car-d1", "engine_failure")]
    assert rig.ask("SELECT DISTINCT kind FROM ingest_incident") == [("engine_failure",)]


@pytest.mark.slow
def test_fewer_slots_than_before_empty_the_queues_of_those_that_are_gone(ingest_rig):
    rig = ingest_rig
    rig.register(*DEVICES)
    two = {"PLEDGEWATCH_INGEST_SLOTS": "2"}
    first, second = rig.start_and_wait(**two), rig.start_and_wait(**two)
    eventually(lambda: rig.ask("SELECT count(*) FROM time_watermark") == [(2,)], what="two watermarks")
    assert (first.stop(), second.stop()) == (0, 0)
    for seq in range(20):
        for device_id in DEVICES:
            rig.report(device_id, position(device_id, seq, minutes_ago(5)))
    rig.await_acks()
    rig.start_and_wait()
    eventually(
        lambda: rig.ask("SELECT slot FROM ingest_slot") == [(0,)], within_s=60, what="the retired slot's end"
    )
    assert rig.ask("SELECT slot FROM time_watermark") == [(0,)]
    stored_everything(rig)


@pytest.mark.slow
def test_a_worker_frozen_in_the_middle_of_a_batch_does_not_hold_its_slot_for_ever(ingest_rig):
    rig = ingest_rig
    rig.register("d1")
    frozen = rig.start_and_wait()
    with connect(rig.database_url, name="blocker") as blocker:
        blocker.execute("LOCK TABLE telemetry IN SHARE MODE")
        rig.report("d1", position("d1", 1))
        rig.await_acks()
        eventually(lambda: waits_for_the_table(rig), what="a worker in the middle of a batch")
        frozen.process.send_signal(signal.SIGSTOP)
    rig.start_and_wait()
    frozen.process.send_signal(signal.SIGCONT)
    stored_everything(rig)
    eventually(
        lambda: frozen.process.poll() is not None or "lease_lost" in frozen.log_text(),
        within_s=40,
        what="the frozen one giving up",
    )
