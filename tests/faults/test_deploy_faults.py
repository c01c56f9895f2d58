"""Deploys, migrations, more and fewer workers, a hungry API: under load, without a report lost or doubled."""

import signal
import threading

import pytest
from psycopg.errors import QueryCanceled

from core.clock import monotonic
from core.db.migrate import migrate
from core.db.pool import connect, open_pool
from tests.fix_faults import held_up, mutant, row, seeded
from tests.fix_stack import eventually

TWO_SLOTS = {"PLEDGEWATCH_INGEST_SLOTS": "2"}


@row("F30")
@seeded(3)
def test_migrating_and_replacing_workers_under_load_loses_and_doubles_nothing(fault_stack, seed):
    """The new process is up before the old one goes, and the schema changes between them."""
    stack = fault_stack
    old = stack.replace_worker()
    with stack.fleet(stack.accounts(), seed=seed) as fleet:
        fleet.await_share(0.2)
        migrate(stack.database_url)
        with connect(stack.database_url, name="deploy") as conn:
            conn.execute("SET lock_timeout = '5s'")
            conn.execute(f"ALTER TABLE telemetry ADD COLUMN later_{seed} text")
        new = stack.start()
        fleet.await_share(0.5)
        assert old.stop() == 0
        eventually(lambda: "slot_leased" in new.log_text(), what="the new worker's lease")
        fleet.await_share(0.8)
    stack.prove(fleet.log)
    assert stack.incidents() == []
    with connect(stack.database_url, name="deploy") as conn:
        conn.execute(f"ALTER TABLE telemetry DROP COLUMN later_{seed}")


@row("F31")
def test_an_api_that_asks_too_much_is_cut_off_and_ingest_goes_on(fault_stack):
    stack = fault_stack
    stack.ensure_worker()
    refused = threading.Semaphore(0)
    stop = threading.Event()
    with open_pool(stack.database_url, name="api", max_size=4, statement_timeout_ms=300) as pool:

        def ask_too_much():
            while not stop.is_set():
                try:
                    with pool.connection() as conn:
                        conn.execute("SELECT count(*) FROM generate_series(1, 100000000)")
                except QueryCanceled:
                    refused.release()

        threads = [threading.Thread(target=ask_too_much) for _ in range(4)]
        for thread in threads:
            thread.start()
        try:
            began_s = monotonic()
            with stack.fleet(stack.accounts()) as fleet:
                pass
            stack.prove(fleet.log)
            took_s = monotonic() - began_s
        finally:
            stop.set()
            for thread in threads:
                thread.join()
    assert refused.acquire(timeout=5)
    assert took_s < 30


@row("F01")
@pytest.mark.slow
def test_two_slots_are_shared_by_two_processes_and_survive_the_death_of_one(fault_stack):
    stack = fault_stack
    for process in stack.processes:
        process.stop()
    first = stack.start(mutant("impatient", "greedy=6"), **TWO_SLOTS)
    stack.start(mutant("impatient", "greedy=6"), **TWO_SLOTS)
    eventually(
        lambda: stack.ask("SELECT 1 FROM ingest_slot HAVING count(DISTINCT owner) = 2"),
        within_s=30,
        what="two owners",
    )
    eventually(
        lambda: stack.ask("SELECT 1 FROM ingest_slot WHERE connected_at IS NOT NULL HAVING count(*) = 2"),
        what="two sessions",
    )
    with stack.fleet(stack.accounts(4)) as fleet:
        fleet.await_share(0.5)
        first.kill()
    stack.prove(fleet.log, slots=2)


@row("F30")
@pytest.mark.slow
def test_fewer_slots_than_before_empty_the_queues_of_those_that_are_gone(fault_stack):
    stack = fault_stack
    for process in stack.processes:
        process.stop()
    both = stack.start_and_wait(mutant("greedy"), **TWO_SLOTS)
    eventually(
        lambda: stack.ask("SELECT 1 FROM time_watermark HAVING count(*) = 2"), within_s=30, what="two slots"
    )
    assert both.stop() == 0
    with stack.fleet(stack.accounts(4), each=30) as fleet:
        pass
    stack.start_and_wait(mutant("greedy"))
    eventually(
        lambda: stack.ask("SELECT slot FROM ingest_slot") == [(0,)],
        within_s=60,
        what="the retired slot's end",
    )
    assert stack.ask("SELECT slot FROM time_watermark") == [(0,)]
    stack.prove(fleet.log)
    stack.replace_worker()


@row("F17")
@pytest.mark.slow
def test_a_worker_frozen_in_the_middle_of_a_batch_does_not_hold_its_slot_for_ever(fault_stack):
    stack = fault_stack
    accounts = stack.accounts(1)
    frozen = stack.replace_worker(mutant("impatient"))
    with connect(stack.database_url, name="blocker") as blocker:
        blocker.execute("LOCK TABLE telemetry IN SHARE MODE")
        with stack.fleet(accounts, each=20) as fleet:
            held_up(stack)
        frozen.process.send_signal(signal.SIGSTOP)
    stack.start_and_wait(mutant("impatient"))
    frozen.process.send_signal(signal.SIGCONT)
    stack.prove(fleet.log)
    eventually(
        lambda: frozen.process.poll() is not None or "lease_lost" in frozen.log_text(),
        within_s=40,
        what="the frozen one giving up",
    )
    frozen.kill()
