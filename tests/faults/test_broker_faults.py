"""A broker that dies, restarts, fills up or forgets: what is lost lies in a declared window, and is told."""

import os
import random
import signal
import threading
from pathlib import Path

import pytest

from core.clock import wall_now
from core.db.pool import connect
from tests.faults.field import track
from tests.faults.small_disk import Ballast, small_disk
from tests.fix_faults import held_up, restart_killed, row, seeded
from tests.fix_stack import eventually
from tests.mqtt5 import NO_MATCHING_SUBSCRIBERS

UNDELIVERED_S = 5.0
"""How far behind a worker that keeps up may be on a busy machine when the broker dies; it is usually none."""


@row("F10")
@seeded(20)
def test_w1_a_killed_broker_loses_at_most_what_was_undelivered_and_says_so(fault_stack, seed):
    """Window W1, measured: lost is only what was accepted just before the kill, or before the reconnect."""
    measure_a_crash(fault_stack, seed)


@row("F33")
@seeded(3)
def test_a_session_that_the_broker_forgot_is_an_incident_and_not_a_silence(fault_stack, seed):
    measure_a_crash(fault_stack, seed, forgetting=True)
    assert fault_stack.incidents() == ["broker_session_lost"]


def measure_a_crash(stack, seed, *, forgetting=False):
    chance = random.Random(seed)
    stack.ensure_worker()
    with stack.fleet(stack.accounts(), seed=seed) as fleet:
        fleet.await_share(chance.uniform(0.1, 0.7))
        threading.Event().wait(chance.uniform(0, 0.05))
        killed_at = wall_now()
        restart_killed(stack, forgetting=forgetting)
        connected_at = eventually(
            lambda: stack.ask("SELECT connected_at FROM ingest_slot WHERE connected_at > %s", killed_at),
            what="the worker's next session",
        )[0][0]
    verdict = stack.judge(fleet.log)
    assert (verdict.report.ghost, verdict.report.stored_twice) == (0, 0)
    lost = [sent for sent in fleet.log if sent.accepted and (sent.device_id, sent.seq) in verdict.missing]
    assert len(lost) == verdict.report.lost
    for sent in lost:
        assert sent.acked_at is not None
        assert (killed_at - sent.acked_at).total_seconds() < UNDELIVERED_S, "this had been delivered before"
        assert sent.acked_at <= connected_at, "this was accepted by a session that lives"
    stack.gaps_are(fleet.log, verdict.missing)
    present = stack.ask("SELECT session_present FROM ingest_slot")[0][0]
    assert ("broker_session_lost" in stack.incidents()) is not present


@row("F10")
def test_w1_what_waits_in_a_killed_broker_is_lost_counted_and_told(fault_stack):
    """The worst of W1: nothing was delivered and nothing saved, so all of it is gone, and everybody can see it."""
    stack = fault_stack
    stack.ensure_worker().stop()
    restart_killed(stack, forgetting=True)
    stack.ensure_worker().stop()
    accounts = stack.accounts(1)
    with stack.fleet(accounts, each=200) as fleet:
        pass
    restart_killed(stack)
    stack.ensure_worker()
    verdict = stack.judge(fleet.log)
    assert verdict.report.lost == 200
    assert "broker_session_lost" in stack.incidents()
    with stack.fleet(accounts, each=1, make=lambda name, seq: track(name, 200)) as after:
        pass
    stack.judge(after.log)
    # Nothing of this boot came before, so the device's next report is the first number the gaps know.
    assert stack.reported_gaps(list(accounts)) == set()


@row("F11")
@seeded(3)
def test_a_broker_restarted_in_good_order_loses_nothing_it_accepted_before(fault_stack, seed):
    stack = fault_stack
    worker = stack.ensure_worker()
    accounts = stack.accounts()
    with connect(stack.database_url, name="blocker") as blocker:
        blocker.execute("LOCK TABLE telemetry IN SHARE MODE")
        with stack.fleet(accounts, seed=seed) as fleet:
            held_up(stack)
        worker.kill()  # everything is in the broker, nothing in the worker
    stack.broker.embedded.stop()
    stack.broker.embedded.start()
    stack.ensure_worker()
    stack.prove(fleet.log)
    assert stack.incidents() == []


@row("F12")
@seeded(3)
def test_a_broker_whose_disk_is_full_goes_on_in_memory_and_complains(small_disk_stack, seed):
    """Recorded behaviour of Mosquitto: it accepts on (window W1 grows), and each failed save is in its log."""
    stack, ballast = small_disk_stack
    stack.ensure_worker().stop()
    accounts = stack.accounts()
    ballast.fill()
    with stack.fleet(accounts, seed=seed) as fleet:
        pass
    os.kill(stack.broker.embedded.pid, signal.SIGUSR1)  # save now
    eventually(
        lambda: (
            "No space left on device" in stack.broker.log_text()
            or "Error saving" in stack.broker.log_text()
            or "Error: " in stack.broker.log_text()
        ),
        what="a complaint",
    )
    ballast.free()
    stack.ensure_worker()
    stack.prove(fleet.log)


@pytest.fixture
def small_disk_stack(fault_stack, tmp_path):
    """The stack with the broker's folder for sessions on a disk of two megabytes."""
    stack = fault_stack
    for process in stack.processes:
        process.stop()
    store = Path(stack.broker.embedded.folder) / "store"
    stack.broker.embedded.stop()
    try:
        with small_disk(store, 2):
            stack.broker.embedded.start()
            yield stack, Ballast(store)
            stack.broker.embedded.stop()
    finally:
        stack.broker.embedded.start()


@row("F13")
@seeded(3)
def test_w2_beyond_the_queue_limit_exactly_the_excess_is_dropped_and_told(small_queue_stack, seed):
    stack = small_queue_stack
    stack.ensure_worker().stop()
    accounts = stack.accounts(1)
    with stack.fleet(accounts, each=300, seed=seed) as fleet:
        pass
    stack.ensure_worker()
    with stack.fleet(accounts, each=1, make=lambda name, seq: track(name, 300)) as after:
        pass
    log = fleet.log + after.log
    verdict = stack.judge(log)
    assert verdict.report.lost == 300 - SMALL_QUEUE
    assert verdict.report.stored == SMALL_QUEUE + 1
    assert {seq for _, seq in verdict.missing} == set(range(SMALL_QUEUE, 300))
    stack.gaps_are(log, verdict.missing)
    eventually(lambda: "broker_dropped_messages" in stack.incidents(), within_s=20, what="the incident")
    told = stack.facts_of("broker_dropped_messages")
    assert sum(facts["dropped"] for facts in told) == 300 - SMALL_QUEUE


SMALL_QUEUE = 100


@pytest.fixture
def small_queue_stack(fault_stack):
    stack = fault_stack
    for process in stack.processes:
        process.stop()
    # The counter begins anew with the broker; a restart that nobody saw, and the same number again, is not told.
    stack.ask("DELETE FROM ingest_incident WHERE kind = 'broker_dropped_messages' RETURNING 1")
    limit = Path(stack.broker.embedded.folder) / "conf.d" / "small.conf"
    stack.broker.embedded.stop()
    limit.write_text(f"max_queued_messages {SMALL_QUEUE}\nmax_inflight_messages 20\nsys_interval 1\n")
    stack.broker.embedded.start()
    yield stack
    for process in stack.processes:
        process.stop()
    stack.broker.embedded.stop()
    limit.unlink()
    stack.broker.embedded.start()


@row("F34")
@seeded(3)
def test_w3_before_a_session_exists_mqtt_5_says_so_and_the_device_keeps_its_reports(fault_stack, seed):
    stack = fault_stack
    for process in stack.processes:
        process.stop()
    restart_killed(stack, forgetting=True)
    accounts = stack.accounts()
    with stack.fleet(accounts, seed=seed, each=60) as fleet:
        eventually(
            lambda: any(sent.reason == NO_MATCHING_SUBSCRIBERS for sent in fleet.log), what="a PUBACK of 0x10"
        )
        assert not any(sent.accepted for sent in fleet.log)
        stack.ensure_worker()
    stack.prove(fleet.log)
    assert any(sent.sends > 1 for sent in fleet.log)


@row("F34")
def test_w3_by_mqtt_3_everything_before_the_first_session_is_lost_and_told(fault_stack):
    """Window W3, measured: MQTT 3.1.1 cannot say that nobody listens; the incident and the gaps do."""
    stack = fault_stack
    for process in stack.processes:
        process.stop()
    accounts = stack.accounts(1)
    stack.ensure_worker()
    with stack.fleet(accounts, each=5) as before:
        pass
    stack.judge(before.log)
    stack.ensure_worker().stop()
    restart_killed(stack, forgetting=True)
    with stack.fleet(accounts, each=20, version=4, make=lambda name, seq: track(name, seq + 5)) as silent:
        pass
    stack.ensure_worker()
    with stack.fleet(accounts, each=5, version=4, make=lambda name, seq: track(name, seq + 25)) as after:
        pass
    log = before.log + silent.log + after.log
    verdict = stack.judge(log)
    assert verdict.report.lost == 20
    stack.gaps_are(log, {(sent.device_id, sent.seq) for sent in silent.log})
    assert "broker_session_lost" in stack.incidents()
