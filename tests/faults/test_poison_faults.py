"""Messages that nobody should have sent: each is put aside once, its neighbours are stored as ever."""

import json
import random
import time

from core.db.pool import connect
from tests.faults.field import track
from tests.fix_faults import mutant, row, seeded
from tests.fix_ingest import delivery, minutes_ago, position
from tests.fix_stack import eventually


def poisons(chance):
    """Payloads that are no reports, and what becomes of each."""
    good = json.dumps(position("x", 1)).encode()
    return [
        (b"", "dead"),
        (b"\xff\xfe not json", "quarantine"),
        (b"[" * 50_000, "dead"),
        (b'{"a":' * 2_000 + b"1" + b"}" * 2_000, "quarantine"),
        (b'{"v":1,"device_id":"' + b"\xc3\x28" + b'"}', "quarantine"),
        (good.replace(b'"lat": 30', b'"lat": NaN, "x": 30'), "quarantine"),
        (good.replace(b'"seq": 1', b'"seq": 1' + b"0" * 400), "quarantine"),
        (b'{"v": 1}', "quarantine"),
        (good[: chance.randrange(5, len(good) - 1)], "quarantine"),
        (bytes(chance.randrange(128, 256) for _ in range(300)), "quarantine"),
        (b"\x00" * 1_000, "quarantine"),
        (json.dumps({"v": 1, "ext": "a" * 60_000}).encode(), "quarantine"),
    ]


@row("F18")
@seeded(3)
def test_poison_among_good_reports_is_put_aside_once_and_hurts_no_neighbour(fault_stack, seed):
    stack, chance = fault_stack, random.Random(seed)
    stack.ensure_worker()
    accounts = stack.accounts(3)
    evil = next(iter(accounts))
    bad = poisons(chance)
    chance.shuffle(bad)
    with stack.fleet({name: key for name, key in accounts.items() if name != evil}, seed=seed) as fleet:
        mids = [stack.send(evil, payload) for payload, _ in bad]
        eventually(lambda: all(stack.talker(evil).acknowledged(mid) for mid in mids), what="PUBACKs")
    verdict = stack.prove(fleet.log)
    assert verdict.ledger["quarantined"] + verdict.ledger["dead"] == verdict.ledger["received"] - 240
    kept = stack.ask(
        "SELECT payload FROM quarantine WHERE topic LIKE %s UNION ALL SELECT payload FROM dead_letter WHERE topic LIKE %s",
        *[f"%/{evil}/telemetry"] * 2,
    )
    assert len(kept) == len(bad)
    assert {payload for (payload,) in kept} == {payload for payload, _ in bad}
    # The row tells the peak since it was last written, and each second a probe of the worker's own comes by.
    eventually(lambda: stack.ask("SELECT 1 FROM ingest_slot WHERE window_used <= 1"), what="all acknowledged")


@row("F18")
def test_a_tenth_of_poison_costs_at_most_half_of_the_speed(pipeline):
    def seconds(share):
        chance, best = random.Random(1), 1e9
        for round_ in range(4):
            batch = [
                delivery(
                    b'{"v": 1, broken' if chance.random() < share else position("d1", seq, minutes_ago(40))
                )
                for seq in range(round_ * 1_000, round_ * 1_000 + 1_000)
            ]
            began = time.process_time()
            pipeline.put(*batch)
            best = min(best, time.process_time() - began)
        return best

    assert seconds(0.1) < 2 * seconds(0.0)


@row("F18")
def test_a_packet_above_the_limit_and_another_devices_topic_hurt_nobody_else(fault_stack):
    stack = fault_stack
    stack.ensure_worker()
    accounts = stack.accounts(3)
    loud, thief = list(accounts)[:2]
    victim = list(accounts)[2]
    with stack.fleet({victim: accounts[victim]}, each=60) as fleet:
        stack.send(loud, b"[" + b" " * 10_000_000 + b"]")
        eventually(lambda: stack.talkers[loud].disconnects, what="the broker refusing the packet")
        stack.talker(thief).send(f"pw/v1/00/{victim}/telemetry", b'{"v": 1}')
    verdict = stack.prove(fleet.log)
    assert verdict.ledger["quarantined"] == verdict.ledger["dead"] == 0


@row("F19")
@seeded(3)
def test_what_the_database_cannot_hold_is_cornered_and_the_batch_goes_on(fault_stack, seed):
    """A trigger refuses one device's reports; a sequence, which no rollback undoes, counts what that costs."""
    stack, chance = fault_stack, random.Random(seed)
    worker = stack.ensure_worker()
    accounts = stack.accounts(3)
    cursed = chance.choice(list(accounts))
    with connect(stack.database_url, name="saboteur") as conn:
        conn.execute("CREATE SEQUENCE tried")
        conn.execute(
            "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM nextval('tried');"
            f" IF NEW.device_id = '{cursed}' AND NEW.seq % 40 = 7 THEN RAISE 'cursed' USING ERRCODE = '22003';"
            " END IF; RETURN NEW; END $$"
        )
        conn.execute(
            "CREATE TRIGGER refuse BEFORE INSERT ON telemetry FOR EACH ROW EXECUTE FUNCTION refuse()"
        )
    try:
        with stack.fleet(accounts, seed=seed) as fleet:
            pass
        verdict = stack.judge(fleet.log)
        tried = stack.ask("SELECT last_value FROM tried")[0][0]
    finally:
        with connect(stack.database_url, name="saboteur") as conn:
            conn.execute("DROP TRIGGER refuse ON telemetry; DROP FUNCTION refuse; DROP SEQUENCE tried")
    found = verdict.report
    assert (found.lost, found.ghost, found.stored_twice, found.quarantined) == (0, 0, 0, 3)
    assert found.reasons["quarantined"] == {"database_22003": 3}
    assert found.stored == 357
    # Halving a batch of n down to one culprit tries each row about log2(n) times at the most.
    assert tried < 360 * 10
    assert worker.process.poll() is None


@row("F20")
@seeded(3)
def test_a_day_sent_again_stores_nothing_finds_nothing_and_is_counted(fault_stack, seed):
    stack = fault_stack
    stack.ensure_worker()
    accounts = stack.accounts(2)

    def with_a_cut(device_id, seq):
        return track(device_id, seq) | (
            {"alarms": ["power_cut"], "ext_power_v": 0.2} if 10 <= seq < 20 else {}
        )

    with stack.fleet(accounts, seed=seed, make=with_a_cut) as fleet:
        pass
    first = stack.prove(fleet.log)
    findings = stack.ask("SELECT count(*) FROM finding")
    mids = [(stack.talker(sent.device_id), stack.send(sent.device_id, sent.payload)) for sent in fleet.log]
    eventually(lambda: all(talker.acknowledged(mid) for talker, mid in mids), what="PUBACKs")
    again = stack.prove(fleet.log)
    assert again.ledger["duplicate"] == first.ledger["duplicate"] + len(fleet.log)
    assert again.ledger["inserted"] == first.ledger["inserted"]
    assert stack.ask("SELECT count(*) FROM finding") == findings != [(0,)]


@row("F19")
def test_an_engine_that_kills_the_process_twice_is_left_out_and_the_vehicles_are_queued(fault_stack):
    stack = fault_stack
    for process in stack.processes:
        process.stop()
    accounts = stack.accounts(1)
    with stack.fleet(accounts, each=20) as fleet:
        pass
    for _ in range(2):
        victim = stack.start(mutant("die_in_the_rules"))
        assert victim.process.wait(timeout=60) == 9
    assert stack.ask("SELECT count(*) FROM telemetry WHERE device_id = ANY(%s)", list(accounts)) == [(0,)]
    stack.start(mutant("die_in_the_rules"))
    stack.prove(fleet.log)
    vehicles = [f"car-{name}" for name in accounts]
    queued = stack.ask("SELECT DISTINCT reason FROM replay_request WHERE vehicle_id = ANY(%s)", vehicles)
    assert queued == [("engine_failure",)]
    assert stack.ask("SELECT bool_or(without_rules) FROM ingest_ledger") == [(True,)]
    stack.replace_worker()


@row("F19")
def test_an_engine_that_fails_never_blocks_storage(fault_stack):
    stack = fault_stack
    accounts = stack.accounts(1)
    stack.replace_worker(mutant("fail_in_the_rules"))
    with stack.fleet(accounts, each=20) as fleet:
        pass
    stack.prove(fleet.log)
    vehicles = [f"car-{name}" for name in accounts]
    queued = stack.ask("SELECT DISTINCT reason FROM replay_request WHERE vehicle_id = ANY(%s)", vehicles)
    assert queued == [("engine_failure",)]
    assert set(stack.incidents()) == {"engine_failure"}
    stack.replace_worker()
