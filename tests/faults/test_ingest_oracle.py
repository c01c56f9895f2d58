"""The oracle sees what a broken worker does; the real worker passes where the mutants fail."""

import sys

import pytest

from core.db.pool import connect
from tests.fix_ingest import minutes_ago, position
from tests.fix_stack import eventually

REPORTS = 40


def mutant(name):
    return [sys.executable, "-m", "tests.faults.mutant_worker", name]


def publish(rig, count=REPORTS):
    for seq in range(count):
        rig.report("d1", position("d1", seq, minutes_ago(50 - seq / 10)))
    rig.await_acks()


def waits_for_the_table(rig):
    return rig.ask(
        "SELECT 1 FROM pg_stat_activity WHERE application_name LIKE 'pledgewatch-ingest-%%'"
        " AND wait_event_type = 'Lock' AND datname = current_database()"
    )


@pytest.mark.slow
@pytest.mark.parametrize("name", [None, "acknowledge_before_commit"])
def test_a_worker_killed_in_its_transaction_loses_only_what_it_acknowledged_too_early(ingest_rig, name):
    rig = ingest_rig
    rig.register("d1")
    worker = rig.start_and_wait(mutant(name) if name else None)
    with connect(rig.database_url, name="blocker") as blocker:
        blocker.execute("LOCK TABLE telemetry IN SHARE MODE")
        publish(rig)
        eventually(lambda: waits_for_the_table(rig), what="a worker in the middle of a batch")
        worker.kill()
    rig.start_and_wait()
    found = rig.checked()
    assert found.acknowledged == REPORTS
    if name:
        assert found.lost > 0, "the oracle does not see what an early acknowledgement loses"
        assert not found.good
    else:
        assert (found.stored, found.lost, found.ghost, found.stored_twice) == (REPORTS, 0, 0, 0)


@pytest.mark.slow
def test_a_worker_that_swallows_a_failed_transaction_is_seen_by_the_oracle(ingest_rig):
    rig = ingest_rig
    rig.register("d1")
    rig.start_and_wait(mutant("swallow_failures"))
    with connect(rig.database_url, name="saboteur") as conn:
        conn.execute("ALTER TABLE ingest_ledger RENAME TO ledger_away")
    publish(rig)
    eventually(lambda: "swallowed" in rig.processes[0].log_text(), what="a failed batch")
    with connect(rig.database_url, name="saboteur") as conn:
        conn.execute("ALTER TABLE ledger_away RENAME TO ingest_ledger")
    assert rig.checked().lost > 0


@pytest.mark.slow
@pytest.mark.parametrize("keyed", [True, False])
def test_death_between_commit_and_acknowledgement_stores_nothing_twice_because_of_the_key(ingest_rig, keyed):
    rig = ingest_rig
    rig.register("d1")
    if not keyed:
        with connect(rig.database_url, name="saboteur") as conn:
            conn.execute("ALTER TABLE telemetry DROP CONSTRAINT telemetry_pkey")
    worker = rig.start_and_wait(mutant("die_between_commit_and_acknowledgement"))
    publish(rig)
    worker.process.wait(timeout=30)
    rig.start_and_wait()
    found = rig.checked()
    assert found.lost == 0
    assert found.good is keyed
    assert (found.stored_twice > 0) is not keyed
    if keyed:
        ledger = rig.ledger()
        assert ledger["inserted"] == REPORTS
        assert ledger["duplicate"] >= 1


def test_the_ledger_refuses_a_batch_that_does_not_add_up(pipeline):
    from psycopg.errors import CheckViolation

    from ingest.domain import Counts
    from ingest.store import add_ledger_row

    counts = Counts(messages=1, received=2, inserted=1)
    with pytest.raises(CheckViolation), pipeline.conn.transaction():
        add_ledger_row(pipeline.conn, counts, source="mqtt", slot=0, epoch=1, without_rules=False)
    counts.duplicate = 1
    with pipeline.conn.transaction():
        add_ledger_row(pipeline.conn, counts, source="mqtt", slot=0, epoch=1, without_rules=False)
    assert pipeline.counts("ingest_ledger") == (1,)
