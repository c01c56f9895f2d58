"""The oracle sees what a broken worker does; the real worker passes where the mutants fail."""

import threading

import pytest
from psycopg.errors import CheckViolation

from core.db.pool import connect
from ingest.domain import Counts
from ingest.store import add_ledger_row
from tests.faults.field import track
from tests.fix_faults import held_up, mutant, restart_killed
from tests.fix_ingest import minutes_ago, position
from tests.fix_stack import eventually

REPORTS = 30


def lost(stack, log):
    found = stack.judge(log).report
    assert found.good is (found.lost == found.ghost == found.stored_twice == 0)
    return found.lost


@pytest.mark.parametrize("name", ["", "acknowledge_before_commit"])
def test_a_worker_killed_in_its_transaction_loses_only_what_it_acknowledged_too_early(fault_stack, name):
    stack = fault_stack
    accounts = stack.accounts(1)
    worker = stack.replace_worker(mutant(name) if name else None)
    with connect(stack.database_url, name="blocker") as blocker:
        blocker.execute("LOCK TABLE telemetry IN SHARE MODE")
        with stack.fleet(accounts, each=REPORTS) as fleet:
            held_up(stack)
        worker.kill()
    stack.ensure_worker()
    if name:
        assert lost(stack, fleet.log) > 0, "the oracle does not see what an early acknowledgement loses"
    else:
        stack.prove(fleet.log)


def test_a_worker_that_swallows_a_failed_transaction_is_seen_by_the_oracle(fault_stack):
    stack = fault_stack
    accounts = stack.accounts(1)
    worker = stack.replace_worker(mutant("swallow_failures"))
    with connect(stack.database_url, name="saboteur") as conn:
        conn.execute("ALTER TABLE ingest_ledger RENAME TO ledger_away")
    try:
        with stack.fleet(accounts, each=REPORTS) as fleet:
            eventually(lambda: "swallowed" in worker.log_text(), what="a failed batch")
    finally:
        with connect(stack.database_url, name="saboteur") as conn:
            conn.execute("ALTER TABLE ledger_away RENAME TO ingest_ledger")
    assert lost(stack, fleet.log) > 0


def test_without_the_key_a_death_before_the_acknowledgement_stores_twice_and_is_seen(ingest_rig):
    """With the key the same death is row F02 of the matrix."""
    rig = ingest_rig
    rig.register("d1")
    with connect(rig.database_url, name="saboteur") as conn:
        conn.execute("ALTER TABLE telemetry DROP CONSTRAINT telemetry_pkey")
    worker = rig.start_and_wait(mutant("die_between_commit_and_acknowledgement"))
    for seq in range(REPORTS):
        rig.report("d1", position("d1", seq, minutes_ago(50 - seq / 10)))
    worker.process.wait(timeout=30)
    rig.start_and_wait()
    found = rig.checked()
    assert found.lost == 0
    assert found.stored_twice > 0
    assert not found.good


@pytest.mark.fault("F04")
@pytest.mark.parametrize("name", ["", "acknowledge_across_a_reconnect"])
def test_an_acknowledgement_of_an_earlier_connection_is_never_sent_or_seen_to_lose(fault_stack, name):
    """The broker forgets the session, so that the same packet ids come to mean other messages."""
    stack = fault_stack
    for process in stack.processes:
        process.stop()
    restart_killed(stack, forgetting=True)  # packet ids begin at 1, as they will once more
    accounts = stack.accounts(1)
    worker = stack.start_and_wait(mutant("die_before_the_second_commit", *([name] if name else [])))
    connections = stack.to_broker.accepted
    with connect(stack.database_url, name="blocker") as blocker:
        blocker.execute("LOCK TABLE telemetry IN SHARE MODE")
        with stack.fleet(accounts, each=1) as first:  # one batch, so that nothing of it dies with the ring
            held_up(stack)
        restart_killed(stack, forgetting=True)
        eventually(lambda: stack.to_broker.accepted > connections, what="the next connection")
        # The device does not stop before each of these has found the new session.
        second = stack.fleet(accounts, each=2 * REPORTS, make=later)
        with second:
            pass
        threading.Event().wait(0.3)  # they lie behind the batch that waits
    assert worker.process.wait(timeout=30) == 9
    stack.ensure_worker()
    found = stack.judge(first.log + second.log).report
    if name:
        assert found.lost > 0, "the oracle does not see what a stale acknowledgement loses"
    else:
        assert (found.lost, found.stored_twice, found.ghost) == (0, 0, 0)
    assert "broker_session_lost" in stack.incidents()


def later(device_id, seq):
    return track(device_id, seq + 1)


def test_the_ledger_refuses_a_batch_that_does_not_add_up(pipeline):
    counts = Counts(messages=1, received=2, inserted=1)
    with pytest.raises(CheckViolation), pipeline.conn.transaction():
        add_ledger_row(pipeline.conn, counts, source="mqtt", slot=0, epoch=1, without_rules=False)
    counts.duplicate = 1
    with pipeline.conn.transaction():
        add_ledger_row(pipeline.conn, counts, source="mqtt", slot=0, epoch=1, without_rules=False)
    assert pipeline.counts("ingest_ledger") == (1,)
