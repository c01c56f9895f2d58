"""A slot has one owner at a time; whoever lost it cannot commit."""

import subprocess
import sys

import pytest

from core.db.pool import connect
from core.topics import SHARDS
from ingest.domain import Counts
from ingest.faults import LeaseLost
from ingest.slots import store
from ingest.slots.lease import shards_of
from ingest.slots.owner import surely_dead, this_process
from tests.fix_ingest import delivery, position


def lease(conn, slots=1, owner="me", dead=()):
    with conn.transaction():
        return store.lease_free_slot(conn, slots, owner, dead)


def test_every_shard_belongs_to_one_slot_however_many_there_are():
    for slots in (1, 2, 3, 7, 64):
        shards = [shard for slot in range(slots) for shard in shards_of(slot, slots)]
        assert sorted(shards) == list(range(SHARDS))


def test_a_slot_is_leased_once_and_again_only_when_released_expired_or_its_owner_is_dead(pipeline):
    conn = pipeline.conn
    first = lease(conn, owner="a")
    assert (first.slot, first.epoch, first.unclean_ends) == (0, 1, 0)
    assert lease(conn, owner="b") is None
    with conn.transaction():
        store.release(conn, first)
    second = lease(conn, owner="b")
    assert (second.epoch, second.unclean_ends) == (2, 0)
    conn.execute("UPDATE ingest_slot SET leased_until = clock_timestamp() - interval '1 second'")
    third = lease(conn, owner="c")
    assert (third.epoch, third.unclean_ends) == (3, 1)
    assert lease(conn, owner="d", dead=["someone else"]) is None
    assert lease(conn, owner="d", dead=["c"]).unclean_ends == 2


def test_two_workers_take_two_slots_and_a_third_waits(pipeline):
    assert [lease(pipeline.conn, 2, name).slot for name in ("a", "b")] == [0, 1]
    assert lease(pipeline.conn, 2, "c") is None


def test_a_batch_of_an_old_epoch_is_refused_whole(pipeline):
    pipeline.tools.lease = lease(pipeline.conn)
    pipeline.put(delivery(position("d1", 1)))
    pipeline.conn.execute("UPDATE ingest_slot SET epoch = epoch + 1")
    with pytest.raises(LeaseLost):
        pipeline.put(delivery(position("d1", 2)), delivery(b""))
    assert pipeline.counts("telemetry", "dead_letter", "ingest_ledger") == (1, 0, 1)
    with pipeline.conn.transaction():
        assert not store.renew(pipeline.conn, pipeline.tools.lease, store.SlotFigures())


def test_a_new_owner_waits_for_the_transaction_of_the_old_one(pipeline, database_url):
    held = lease(pipeline.conn)
    with connect(database_url, name="old") as old:
        assert store.hold(old, held)
        with connect(database_url, name="new") as new:
            # The row is locked by the old owner's batch: SKIP LOCKED leaves it alone, whoever is dead.
            assert store.lease_free_slot(new, 1, "b", ["me"]) is None
        old.commit()
        assert lease(pipeline.conn, owner="b", dead=["me"]).epoch == 2


def test_a_living_process_is_never_called_dead_and_a_stranger_neither():
    assert not surely_dead(this_process())
    assert not surely_dead("elsewhere/boot/1:1:1")
    assert not surely_dead("")
    place = this_process().split(":")[0]
    assert surely_dead(f"{place}:4194304:12")
    assert surely_dead(this_process().rpartition(":")[0] + ":1")


def test_a_process_that_ended_is_dead():
    asked = subprocess.run(
        [sys.executable, "-c", "from ingest.slots.owner import this_process; print(this_process())"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert surely_dead(asked.stdout.strip())


def test_the_counts_of_the_domain_are_the_columns_of_the_ledger(pipeline):
    columns = {name for (name,) in pipeline.ask(
        "SELECT column_name FROM information_schema.columns WHERE table_name = 'ingest_ledger'"
    )}  # fmt: skip
    assert {f"n_{name}" for name in Counts.__slots__} <= columns
