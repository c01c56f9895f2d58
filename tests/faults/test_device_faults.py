"""Devices with wrong clocks, wrong order, wrong numbers; and hosts whose clock jumps."""

import random
from datetime import timedelta

from core.clock import wall_now
from tests.faults.field import track
from tests.fix_faults import mutant, row, seeded
from tests.fix_ingest import minutes_ago, position
from tests.fix_stack import eventually

DRIFTS = (timedelta(seconds=-90), timedelta(minutes=-50), timedelta(hours=-20), timedelta(minutes=4))


@row("F21")
@seeded(3)
def test_disorder_within_a_device_is_stored_whole_and_the_newest_position_stays(fault_stack, seed):
    stack, chance = fault_stack, random.Random(seed)
    stack.ensure_worker()
    order = list(range(120))
    for at in range(0, 120, 12):  # shuffled within some seven seconds
        window = order[at : at + 12]
        chance.shuffle(window)
        order[at : at + 12] = window
    accounts = stack.accounts(2)
    with stack.fleet(accounts, seed=seed, make=lambda name, n: track(name, order[n])) as fleet:
        pass
    stack.prove(fleet.log)
    latest = stack.ask("SELECT seq FROM latest_position WHERE device_id = ANY(%s)", list(accounts))
    assert latest == [(119,), (119,)]


@row("F22")
@seeded(3)
def test_a_buffer_of_two_days_is_stored_late_and_never_moves_the_pin_back(fault_stack, seed):
    stack, chance = fault_stack, random.Random(seed)
    stack.ensure_worker()
    accounts = stack.accounts(2)
    late_h = chance.uniform(1, 48)

    def make(name, seq):
        return (
            track(name, seq) if seq < 20 else position(name, seq, minutes_ago(60 * late_h - (seq - 20) / 60))
        )

    with stack.fleet(accounts, seed=seed, make=make) as fleet:
        pass
    stack.prove(fleet.log)
    latest = stack.ask("SELECT seq FROM latest_position WHERE device_id = ANY(%s)", list(accounts))
    assert latest == [(19,), (19,)]
    queued = stack.ask(
        "SELECT count(*) FROM replay_request WHERE vehicle_id = ANY(%s)", [f"car-{name}" for name in accounts]
    )
    assert queued == [(2,)], "what came late is judged again in its place"
    fresh = stack.ask(
        "SELECT count(*) FROM finding WHERE vehicle_id = ANY(%s) AND late_by_s = 0 AND event_time < now() - interval '55 minutes'",
        [f"car-{name}" for name in accounts],
    )
    assert fresh == [(0,)], "history must not alarm as if it were now"


@row("F24")
@seeded(3)
def test_wrong_device_clocks_are_kept_apart_and_open_no_partitions(fault_stack, seed):
    stack, chance = fault_stack, random.Random(seed)
    stack.ensure_worker()
    accounts = stack.accounts(2)
    wrong = (
        wall_now() + timedelta(days=chance.randint(1, 20_000)),
        wall_now() - timedelta(days=chance.randint(95, 3_000)),
        wall_now().replace(year=1970),
        wall_now().replace(year=2080, month=2, day=28),
    )
    days = stack.ask("SELECT count(*) FROM telemetry_partition")

    def make(name, seq):
        if seq % 5 == 4:
            return position(name, seq, wrong[seq // 5 % len(wrong)])
        return position(
            name, seq, wall_now() + DRIFTS[seq % len(DRIFTS)] if seq % 7 == 0 else minutes_ago(40)
        )

    with stack.fleet(accounts, seed=seed, make=make, each=60) as fleet:
        pass
    verdict = stack.prove(fleet.log)
    assert verdict.report.undated == 2 * 12
    assert set(verdict.report.reasons["undated"]) <= {"clock_future", "clock_past", "implausible"}
    opened = stack.ask("SELECT count(*) FROM telemetry_partition")[0][0] - days[0][0]
    assert opened <= 2


@row("F25")
@seeded(3)
def test_a_worker_whose_clock_jumps_by_an_hour_keeps_its_lease_and_loses_nothing(fault_stack, seed):
    stack, chance = fault_stack, random.Random(seed)
    offset = stack.folder / f"clock-{seed}"
    worker = stack.replace_worker(mutant(f"jumping_clock={offset}"))
    epoch = stack.ask("SELECT epoch FROM ingest_slot")
    jumps = [3_600, -3_600] if chance.random() < 0.5 else [-3_600, 3_600]
    try:
        with stack.fleet(stack.accounts(), seed=seed, pause_s=0.02) as fleet:
            for share, jump in zip((0.3, 0.6), jumps, strict=True):
                fleet.await_share(share)
                offset.write_text(str(jump))
            fleet.await_share(0.9)
            offset.write_text("0")
        # A probe of the hour ahead would tell of an empty backlog too early.
        devices = [device.device_id for device in fleet.devices]
        eventually(lambda: len(stack.held(devices)) == len(fleet.log), within_s=60, what="all of them stored")
        verdict = stack.prove(fleet.log)
        assert verdict.report.stored + verdict.report.undated == 360
        assert worker.process.poll() is None
        assert stack.ask("SELECT epoch FROM ingest_slot") == epoch, "leases are of database time"
        assert stack.incidents() == []
    finally:
        worker.stop()
        stack.ask("UPDATE time_watermark SET probe_sent_at = 'epoch' RETURNING 1")


@row("F26")
@seeded(3)
def test_numbers_that_begin_again_with_another_boot_are_other_reports(fault_stack, seed):
    stack = fault_stack
    stack.ensure_worker()

    def make(name, n):
        boot, seq = divmod(n, 40)
        return track(name, n) | {"boot_id": 100 + boot, "seq": seq}

    accounts = stack.accounts(2)
    with stack.fleet(accounts, seed=seed, make=make) as fleet:
        pass
    verdict = stack.judge(fleet.log)
    assert (verdict.report.stored, verdict.report.lost, verdict.report.stored_twice) == (240, 0, 0)
    boots = stack.ask(
        "SELECT boot_id, count(*) FROM telemetry WHERE device_id = ANY(%s) GROUP BY 1 ORDER BY 1",
        list(accounts),
    )
    assert boots == [(100, 80), (101, 80), (102, 80)]


@row("F26")
def test_two_senders_with_one_identity_overwrite_nothing_and_are_counted(fault_stack):
    """A clone on a reused account sends other content under stored numbers: the first stays, each clash is counted."""
    stack = fault_stack
    stack.ensure_worker()
    accounts = stack.accounts(1)
    (name,) = accounts
    moments = [minutes_ago(30 - n / 10) for n in range(30)]
    with stack.fleet(accounts, each=30, make=lambda _, n: position(name, n, moments[n])) as fleet:
        pass
    stack.prove(fleet.log)
    with stack.fleet(accounts, each=30, make=lambda _, n: position(name, n, moments[n], lat=45.0)) as clone:
        pass
    verdict = stack.judge(fleet.log + clone.log)
    found = verdict.report
    assert (found.stored, found.dup_conflict, found.lost) == (30, 30, 0)
    assert verdict.ledger["dup_conflict"] == 30
    assert stack.ask("SELECT max(lat) < 31 FROM telemetry WHERE device_id = %s", name) == [(True,)]
