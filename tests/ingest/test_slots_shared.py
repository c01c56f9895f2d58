"""Slots among real processes: shared evenly, taken over, given back, and moved without a hole."""

import contextlib
import signal
import sys
import threading

import pytest

from core.clock import monotonic
from ingest.slots.share import Allowance, fair_share
from tests.fix_ingest import position
from tests.fix_stack import eventually

IMPATIENT = [sys.executable, "-m", "tests.faults.mutant_worker", "impatient"]
"""The process with leases of two seconds, so that the tests need not wait for those of eight."""
DEVICES = ("d1", "d2", "d3", "d4")


def test_shares_are_even_and_add_up_whatever_there_is_to_divide():
    for slots in (1, 2, 3, 7, 64):
        for count in range(1, 9):
            present = [f"p{number}" for number in range(count)]
            shares = [fair_share(owner, present, slots) for owner in present]
            assert sum(shares) == slots
            assert max(shares) - min(shares) <= 1
            assert shares == sorted(shares, reverse=True)
    assert fair_share("stranger", ["a"], 4) == 0


def test_a_share_shrinks_at_once_and_grows_when_nobody_has_come_back():
    allowance = Allowance(5.0)
    assert allowance.update(4, 0.0) == 1  # the first slot never waits
    assert allowance.update(4, 4.0) == 1
    assert allowance.update(4, 5.0) == 4
    assert allowance.update(2, 6.0) == 2
    assert allowance.update(4, 7.0) == 2
    assert allowance.update(2, 9.0) == 2  # it was a restart
    assert allowance.update(4, 11.0) == 2
    assert allowance.update(4, 16.0) == 4
    assert allowance.update(0, 17.0) == 0


def owned(rig) -> dict[str, int]:
    """How many slots each process serves, by pid; slots without a session do not count."""
    return dict(rig.ask(
        "SELECT split_part(owner, ':', 2), count(*) FROM ingest_slot"
        " WHERE leased_until > clock_timestamp() AND connected GROUP BY 1"
    ))  # fmt: skip


def await_shares(rig, *shares, within_s: float = 60.0) -> None:
    wanted = {str(each.process.pid): count for each, count in shares}
    eventually(lambda: owned(rig) == wanted, within_s=within_s, what=f"shares {wanted}, are {owned(rig)}")


class Talk:
    """Devices that report without pause, until told to stop."""

    def __init__(self, rig):
        self.rig = rig
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def _run(self):
        seq = 0
        while not self._stop.wait(0.02):
            for device_id in DEVICES:
                self.rig.report(device_id, position(device_id, seq))
            seq += 1

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._stop.set()
        self._thread.join()


def stored_everything(rig, slots: int) -> None:
    found = rig.checked(slots=slots, wait_s=90)
    assert (found.lost, found.ghost, found.stored_twice) == (0, 0, 0)
    assert found.acknowledged == len(rig.rows) > 100


@pytest.fixture
def spread(ingest_rig):
    """A rig with one device on each of four consecutive shards, so that every slot of four has work."""
    rig = ingest_rig
    rig.register(*DEVICES)
    for shard, device_id in enumerate(DEVICES):
        rig.ask("UPDATE device SET shard = %s WHERE device_id = %s RETURNING 1", shard, device_id)
    place = dict(zip(DEVICES, range(4), strict=True))
    send = rig.send
    rig.send = lambda device_id, payload, **kw: send(device_id, payload, **(kw | {"shard": place[device_id]}))
    yield rig
    for each in rig.processes:
        with contextlib.suppress(ProcessLookupError):
            each.process.send_signal(signal.SIGCONT)


@pytest.mark.slow
def test_whoever_comes_later_gets_its_share_and_a_rolling_restart_ends_evenly(spread):
    rig = spread
    rig.settings["PLEDGEWATCH_INGEST_SLOTS"] = "4"
    first = rig.start_and_wait(IMPATIENT)
    await_shares(rig, (first, 4))
    with Talk(rig):
        second = rig.start(IMPATIENT)
        await_shares(rig, (first, 2), (second, 2))
        assert first.stop() == 0
        third = rig.start(IMPATIENT)
        await_shares(rig, (second, 2), (third, 2))
        assert second.stop() == 0
        fourth = rig.start(IMPATIENT)
        await_shares(rig, (third, 2), (fourth, 2))
        killed_at_s = monotonic()
        third.kill()
        await_shares(rig, (fourth, 4), within_s=30)
        assert monotonic() - killed_at_s < 30
    stored_everything(rig, 4)
    assert rig.ask("SELECT count(*) FROM ingest_worker") == [(1,)]


@pytest.mark.slow
def test_a_frozen_process_loses_its_slots_and_writes_nothing_when_it_wakes(spread):
    rig = spread
    rig.settings["PLEDGEWATCH_INGEST_SLOTS"] = "2"
    zombie = rig.start_and_wait(IMPATIENT)
    heir = rig.start(IMPATIENT)
    await_shares(rig, (zombie, 1), (heir, 1))
    with Talk(rig):
        zombie.process.send_signal(signal.SIGSTOP)
        await_shares(rig, (heir, 2), within_s=60)
        epochs = dict(rig.ask("SELECT slot, epoch FROM ingest_slot"))
        before = rig.ask("SELECT max(ledger_id) FROM ingest_ledger")[0][0]
        zombie.process.send_signal(signal.SIGCONT)
        eventually(lambda: "lease_lost" in zombie.log_text(), within_s=30, what="the zombie giving up")
        await_shares(rig, (zombie, 1), (heir, 1))
    stored_everything(rig, 2)
    late = rig.ask("SELECT slot, epoch FROM ingest_ledger WHERE ledger_id > %s", before)
    assert all(epoch >= epochs[slot] for slot, epoch in late)


@pytest.mark.slow
def test_the_number_of_slots_changes_both_ways_while_devices_report(spread):
    """The talkers speak MQTT 3.1.1: a shard without a subscriber would lose with a success."""
    rig = spread
    few, many = ({"PLEDGEWATCH_INGEST_SLOTS": number} for number in ("1", "4"))
    first = rig.start_and_wait(IMPATIENT, **few)
    with Talk(rig):
        assert first.stop() == 0
        second = rig.start(IMPATIENT, **many)
        await_shares(rig, (second, 4))
        eventually(
            lambda: (
                rig.ask("SELECT count(*) FROM ingest_slot WHERE layout = 4 AND NOT foreign_shards") == [(4,)]
            ),
            within_s=60,
            what="every slot with its own shards alone",
        )
        third = rig.start(IMPATIENT, **few)
        eventually(
            lambda: "layout_changed" in second.log_text(), within_s=60, what="the old process noticing"
        )
        assert second.stop() == 0
        await_shares(rig, (third, 1))
        eventually(
            lambda: rig.ask("SELECT slot FROM ingest_slot") == [(0,)],
            within_s=60,
            what="the retired slots' end",
        )
    stored_everything(rig, 1)
    # Both were subscribed for a while: repeats are counted, not stored.
    assert rig.ledger()["dup_conflict"] == 0
