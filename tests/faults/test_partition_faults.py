"""Cables between device, broker, worker and database that are cut, held, reset or slow."""

import random
import threading

import pytest

from core.clock import monotonic
from tests.fix_faults import mutant, resident_mb, row, seeded
from tests.fix_stack import eventually

OFFLINE_RULES = ("DEVICE_OFFLINE", "FLEET_OFFLINE")


@row("F14")
@pytest.mark.parametrize("seed", [1, *[pytest.param(n, marks=pytest.mark.soak) for n in (2, 3)]])
def test_devices_cut_off_from_the_broker_resend_in_order_and_raise_no_storm(fault_stack, seed):
    stack, chance = fault_stack, random.Random(seed)
    stack.ensure_worker()
    accounts = stack.accounts()
    dark_s = 1.0 if seed == 1 else 60.0
    with stack.fleet(accounts, seed=seed) as fleet:
        for _ in range(2):
            fleet.await_share(chance.uniform(0.1, 0.4))
            stack.from_devices.refuse()
            threading.Event().wait(dark_s)
            stack.from_devices.heal()
    stack.prove(fleet.log)
    assert all(device.connects >= 2 for device in fleet.devices)
    # In order as far as the device is concerned: the first copy of each number is stored before the next one's.
    for device in accounts:
        arrived = stack.ask(
            "SELECT seq FROM telemetry WHERE device_id = %s ORDER BY received_at, seq", device
        )
        assert [seq for (seq,) in arrived] == sorted(seq for (seq,) in arrived)
    vehicles = [f"car-{name}" for name in accounts]
    assert stack.ask(
        "SELECT count(*) FROM finding WHERE vehicle_id = ANY(%s) AND rule = ANY(%s)",
        vehicles,
        [*OFFLINE_RULES],
    ) == [(0,)]


@row("F15")
@seeded(3)
def test_a_dead_cable_to_the_broker_is_noticed_by_the_keep_alive(fault_stack, seed):
    """Half open: nothing comes and nothing is said. The real keep-alive is 30 s; here it is two."""
    stack, chance = fault_stack, random.Random(seed)
    worker = stack.replace_worker(mutant("short_keepalive"))
    with stack.fleet(stack.accounts(), seed=seed) as fleet:
        fleet.await_share(chance.uniform(0.1, 0.6))
        connections = stack.to_broker.accepted
        stack.to_broker.hold()
        began_s = monotonic()
        eventually(
            lambda: "broker_disconnected" in worker.log_text() or "broker_unreachable" in worker.log_text(),
            within_s=20,
            what="the keep-alive",
        )
        noticed_s = monotonic() - began_s
        stack.to_broker.heal(drop=True)
        eventually(lambda: stack.to_broker.accepted > connections, what="the next connection")
    stack.prove(fleet.log)
    assert noticed_s < 1.5 * 2 + 5, "three seconds, and what a busy machine adds"


@row("F15")
@pytest.mark.parametrize("reset", [True, pytest.param(False, marks=pytest.mark.soak)])
def test_a_cut_cable_to_the_broker_loses_and_doubles_nothing(fault_stack, reset):
    stack = fault_stack
    stack.ensure_worker()
    with stack.fleet(stack.accounts()) as fleet:
        for share in (0.2, 0.6):
            fleet.await_share(share)
            stack.to_broker.cut(reset=reset)
    stack.prove(fleet.log)


@row("F16")
@pytest.mark.parametrize(
    "how", ["cut", "hold", *(pytest.param(how, marks=pytest.mark.soak) for how in ("refuse", "slow"))]
)
@seeded(3)
def test_a_bad_cable_to_the_database_loses_and_doubles_nothing(fault_stack, how, seed):
    stack, chance = fault_stack, random.Random(seed)
    worker = stack.ensure_worker()
    cable = stack.to_database
    with stack.fleet(stack.accounts(), seed=seed) as fleet:
        fleet.await_share(chance.uniform(0.1, 0.5))
        before_mb = resident_mb(worker.process.pid)
        if how == "cut":
            cable.cut(reset=chance.random() < 0.5)
        elif how == "slow":
            cable.delay_s = 0.1
        else:
            getattr(cable, how)()
        fleet.await_share(1.0)
        threading.Event().wait(0.5 if seed == 1 else 20.0)
        grown_mb = resident_mb(worker.process.pid) - before_mb
        cable.heal(drop=how == "hold")
    stack.prove(fleet.log)
    assert worker.process.poll() is None
    assert grown_mb < 30
    assert stack.incidents() == []


@row("F16")
def test_a_worker_behind_a_dead_cable_cannot_commit_after_another_has_its_slot(fault_stack):
    """The lost worker's transaction is open in the database when the cable dies; the next owner waits for its end."""
    stack = fault_stack
    lost = stack.replace_worker(mutant("impatient"))
    with stack.fleet(stack.accounts()) as fleet:
        fleet.await_share(0.3)
        stack.to_database.hold()
        began_s = monotonic()
        second = stack.start(mutant("impatient"), PLEDGEWATCH_DATABASE_URL=stack.database_url)
        eventually(lambda: "slot_leased" in second.log_text(), within_s=30, what="the second worker's lease")
        took_s = monotonic() - began_s
        stack.to_database.heal()  # everything that was held arrives now
        eventually(lambda: "lease_lost" in lost.log_text(), within_s=30, what="the first one giving up")
    stack.prove(fleet.log)
    assert took_s < 30
    lost.kill()


@row("F27")
@pytest.mark.parametrize("devices", [120, pytest.param(1_000, marks=pytest.mark.soak)])
def test_all_devices_reconnecting_at_once_are_served_and_ingest_recovers(fault_stack, devices):
    stack = fault_stack
    stack.ensure_worker()
    accounts = stack.accounts(devices)
    with stack.fleet(accounts, each=6, pause_s=0.2) as fleet:
        fleet.await_share(0.3)
        stack.from_devices.cut()
        began_s = monotonic()
    stack.prove(fleet.log)
    assert monotonic() - began_s < 120
    assert sum(device.connects >= 2 for device in fleet.devices) > devices * 0.9
