"""A worker that is killed, frozen, starved or started twice: nothing accepted is lost, nothing stored twice."""

import contextlib
import os
import random
import signal
import threading
from functools import partial
from pathlib import Path

import pytest

from core.clock import monotonic
from core.db.pool import connect
from ingest.slots.lease import client_id
from tests.faults.field import track
from tests.fix_faults import held_up, mutant, resident_mb, row, seeded
from tests.fix_stack import eventually
from tests.mqtt_talk import Talker

RECOVERED_S = 20.0
"""Ten on a machine that does nothing else: two for the process, the rest if its lease has to run out."""
CGROUPS = Path("/sys/fs/cgroup/memory")


@row("F01")
@seeded(20)
def test_a_worker_killed_at_random_moments_loses_and_doubles_nothing(fault_stack, seed):
    stack, chance = fault_stack, random.Random(seed)
    stack.ensure_worker()
    with stack.fleet(stack.accounts(), seed=seed) as fleet:
        for share in sorted(chance.uniform(0.05, 0.9) for _ in range(1 if seed == 1 else 3)):
            fleet.await_share(share)
            threading.Event().wait(chance.uniform(0, 0.06))
            stack.ensure_worker().kill()
            began_s = monotonic()
            stack.ensure_worker()
            assert monotonic() - began_s < RECOVERED_S
    stack.prove(fleet.log)
    assert stack.incidents() == []


def with_a_cut(device_id, seq):
    """Report that the power is cut, so that the rules have something to find."""
    return track(device_id, seq) | ({"alarms": ["power_cut"], "ext_power_v": 0.2} if 10 <= seq < 40 else {})


@row("F02")
@seeded(20)
def test_death_between_commit_and_acknowledgement_is_counted_and_finds_nothing_twice(fault_stack, seed):
    stack, chance = fault_stack, random.Random(seed)
    accounts = stack.accounts()
    doomed = stack.replace_worker(
        mutant(f"die_between_commit_and_acknowledgement={chance.randint(1, 6)}"),
    )
    with stack.fleet(accounts, seed=seed, make=with_a_cut) as fleet:
        assert doomed.process.wait(timeout=60) == 9
        stack.ensure_worker()
    verdict = stack.prove(fleet.log)
    assert verdict.ledger["duplicate"] >= 1
    found = stack.ask(
        "SELECT vehicle_id, count(*), count(DISTINCT finding_id) FROM finding_current"
        " WHERE rule = 'EXTERNAL_POWER_CUT' AND vehicle_id = ANY(%s) GROUP BY 1",
        [f"car-{name}" for name in accounts],
    )
    assert {vehicle: (rows, ids) for vehicle, rows, ids in found} == {
        f"car-{name}": (1, 1) for name in accounts
    }


@row("F03")
@seeded(20)
def test_a_cut_during_commit_stores_one_copy_whichever_side_it_fell(fault_stack, seed):
    stack, chance = fault_stack, random.Random(seed)
    stack.ensure_worker()
    cuts, skip, verdict_of_the_cable = 0, chance.randint(0, 4), ("cut_after", "cut")[seed % 2 - 1]

    def at_commit(data):
        nonlocal cuts, skip
        if b"COMMIT" not in data:
            return "pass"
        skip -= 1
        if skip >= 0 or cuts >= 2:
            return "pass"
        cuts += 1
        skip = chance.randint(0, 4)
        return verdict_of_the_cable

    with stack.fleet(stack.accounts(), seed=seed) as fleet:
        fleet.await_share(chance.uniform(0.05, 0.5))
        stack.to_database.judge = at_commit
        if seed % 3 == 0:
            eventually(lambda: cuts, what="a cut COMMIT")
            stack.ensure_worker().kill()
            stack.ensure_worker()
    eventually(lambda: cuts == 2, what="two cut COMMITs")
    stack.prove(fleet.log)


def connected_since(stack, before) -> bool:
    return stack.to_broker.accepted > before


@row("F04")
@seeded(20)
def test_reconnects_in_the_middle_of_acknowledging_lose_and_double_nothing(fault_stack, seed):
    stack, chance = fault_stack, random.Random(seed)
    stack.ensure_worker()
    before = stack.to_broker.accepted
    cuts = 2 if seed == 1 else 5
    with stack.fleet(stack.accounts(), seed=seed) as fleet:
        for share in sorted(chance.uniform(0.05, 0.8) for _ in range(cuts)):
            fleet.await_share(share)
            connected = stack.to_broker.accepted
            stack.to_broker.cut(reset=chance.random() < 0.5)
            eventually(partial(connected_since, stack, connected), what="the next connection")
    stack.prove(fleet.log)
    assert stack.to_broker.accepted >= before + cuts
    assert stack.incidents() == []


@row("F07")
@pytest.mark.parametrize("locked_s", [3.0, pytest.param(60.0, marks=pytest.mark.soak)])
def test_a_locked_table_fills_the_window_and_not_the_memory(fault_stack, locked_s):
    stack = fault_stack
    worker = stack.ensure_worker()
    accounts = stack.accounts()
    connects = stack.to_broker.accepted
    with stack.fleet(accounts, each=400, pause_s=0.001) as fleet:
        fleet.await_share(0.1)
        before_mb = resident_mb(worker.process.pid)
        with connect(stack.database_url, name="blocker") as blocker:
            blocker.execute("LOCK TABLE telemetry IN SHARE MODE")
            held_up(stack)
            began_s = monotonic()
            fleet.await_share(1.0)  # the broker goes on accepting
            threading.Event().wait(max(0.0, began_s + locked_s - monotonic()))
            grown_mb = resident_mb(worker.process.pid) - before_mb
    stack.prove(fleet.log)
    assert grown_mb < 30, "the window bounds what the worker holds"
    assert stack.to_broker.accepted == connects, "the connection must stay alive meanwhile"


@row("F17")
@seeded(20)
def test_a_worker_that_slept_through_its_lease_cannot_commit_when_it_wakes(fault_stack, seed):
    stack, chance = fault_stack, random.Random(seed)
    sleeper = stack.replace_worker(mutant("impatient"))
    epoch = stack.ask("SELECT epoch FROM ingest_slot")[0][0]
    with stack.fleet(stack.accounts(), seed=seed) as fleet:
        fleet.await_share(chance.uniform(0.1, 0.6))
        threading.Event().wait(chance.uniform(0, 0.05))
        sleeper.process.send_signal(signal.SIGSTOP)
        stack.start(mutant("impatient"))
        eventually(
            lambda: stack.ask("SELECT 1 FROM ingest_slot WHERE epoch > %s", epoch),
            within_s=30,
            what="the second worker's lease",
        )
        sleeper.process.send_signal(signal.SIGCONT)
        eventually(lambda: "lease_lost" in sleeper.log_text(), within_s=30, what="the sleeper giving up")
    stack.prove(fleet.log)
    sleeper.kill()
    owners = stack.ask(
        "SELECT epoch FROM (SELECT epoch, ledger_id FROM ingest_ledger WHERE epoch >= %s) l ORDER BY ledger_id",
        epoch,
    )
    assert owners == sorted(owners), "a batch of an older epoch was committed after one of a newer"


@row("F17")
def test_a_connection_taken_over_by_a_stranger_is_won_back(fault_stack):
    stack = fault_stack
    stack.ensure_worker()
    accounts = stack.accounts()
    before = stack.to_broker.accepted
    with stack.fleet(accounts) as fleet:
        fleet.await_share(0.3)
        stranger = Talker(
            stack.broker.host, stack.broker.port, client_id(0), "ingest", stack.broker.ingest_password,
            clean=False, manual_ack=True,
        ).connected()  # fmt: skip
        eventually(lambda: stranger.disconnects, what="the worker winning its session back")
        stranger.close()
    stack.prove(fleet.log)
    assert stack.to_broker.accepted > before


@row("F28")
def test_a_worker_killed_for_want_of_memory_loses_and_doubles_nothing(fault_stack):
    stack = fault_stack
    worker = stack.replace_worker()
    with stack.fleet(stack.accounts()) as fleet, memory_limit() as group:
        fleet.await_share(0.2)
        (group / "cgroup.procs").write_text(str(worker.process.pid))
        # What it holds was charged to another group; a few pages more are too many.
        (group / "memory.limit_in_bytes").write_text("65536")
        assert worker.process.wait(timeout=30) == -signal.SIGKILL
        stack.ensure_worker()
    stack.prove(fleet.log)


@contextlib.contextmanager
def memory_limit():
    group = CGROUPS / f"pledgewatch-test-{os.getpid()}"
    try:
        group.mkdir()
    except OSError as error:
        pytest.skip(f"no memory cgroup may be made here: {error}")
    try:
        yield group
    finally:
        eventually(lambda: not (group / "cgroup.procs").read_text(), what="the group's last process")
        group.rmdir()
