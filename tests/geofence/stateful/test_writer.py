"""The live writer, inside a transaction that somebody else owns."""

from __future__ import annotations

import itertools
import threading

import pytest

from core.db.pool import connect
from geofence.context import load_facts
from geofence.fences import fence_from_row
from geofence.oracle import compare
from geofence.replayer import Replayer
from geofence.state import from_bytes
from geofence.store import deadlines as deadline_store
from geofence.store import states as state_store
from geofence.store.fences import all_versions
from geofence.writer import RuleWriter
from tests.fix_stack import eventually
from tests.geofence.stateful.fleet import (
    LAT,
    LON,
    MINUTE,
    START_MS,
    TIMEZONE,
    add_fence,
    ingest,
    register,
    report,
    serve_replays,
    store_reports,
    undated,
)


@pytest.fixture
def conn(database_url):
    with connect(database_url, name="test-writer", autocommit=True) as connection:
        register(connection, "v1")
        yield connection


@pytest.fixture
def writer():
    return RuleWriter(timezone=TIMEZONE)


def parked(minutes, **fields):
    return [report(minute, **fields) for minute in minutes]


def rules_found(conn, vehicle_id="v1"):
    rows = conn.execute(
        "SELECT rule, event FROM finding_current WHERE vehicle_id = %s ORDER BY event_time, seq",
        (vehicle_id,),
    ).fetchall()
    return set(rows)


def test_a_stay_at_a_risk_place_is_found_across_batches_and_a_restart(conn, writer):
    add_fence(conn, "shop", LAT, LON)
    outcome = ingest(conn, writer, parked(range(5)))
    assert outcome.judged == 5
    outcome = ingest(conn, RuleWriter(timezone=TIMEZONE), parked(range(5, 20)))
    assert "RISK_PLACE_VISIT" in {finding.rule for finding in outcome.findings}
    assert ("RISK_PLACE_VISIT", "raise") in rules_found(conn)
    assert compare(conn, timezone=TIMEZONE).differences == ()


def test_late_reports_queue_one_replay_from_the_earliest_and_the_others_are_judged(conn, writer):
    ingest(conn, writer, parked([10]))
    outcome = ingest(conn, writer, parked([4, 7, 12]))
    assert (outcome.judged, outcome.late, outcome.late_vehicles) == (1, 2, ("v1",))
    ingest(conn, writer, parked([6]))
    row = conn.execute(
        "SELECT (extract(epoch FROM replay_from) * 1000)::bigint, reason FROM replay_request"
    ).fetchone()
    assert row == (START_MS + 4 * MINUTE, "late_data")


def test_reports_of_no_vehicle_are_passed_over(conn, writer):
    outcome = ingest(conn, writer, [report(1, vehicle_id=None, device_id="stranger")])
    assert outcome.judged == 0
    assert conn.execute("SELECT count(*) FROM vehicle_state").fetchone() == (0,)


def test_a_batch_that_rolled_back_is_judged_again_from_the_stored_state(conn, writer):
    ingest(conn, writer, parked([0]))
    with conn.transaction(force_rollback=True):
        outcome = writer.apply(conn, store_reports(conn, parked([1, 2])), now_ms=START_MS)
        assert outcome.judged == 2
    writer.rolled_back()
    outcome = ingest(conn, writer, parked([1, 2, 3]))
    assert (outcome.judged, outcome.late) == (3, 0)
    assert compare(conn, timezone=TIMEZONE).differences == ()


def test_a_cached_state_is_not_believed_after_somebody_else_wrote(conn, writer):
    other = RuleWriter(timezone=TIMEZONE)
    ingest(conn, writer, parked([0]))
    ingest(conn, other, parked([5]))
    outcome = ingest(conn, writer, parked([3, 6]))
    assert (outcome.judged, outcome.late) == (1, 1)
    serve_replays(conn, Replayer(timezone=TIMEZONE))
    outcome = ingest(conn, writer, parked([5.5, 7]))
    assert (outcome.judged, outcome.late) == (1, 1)
    assert conn.execute("SELECT state_version FROM vehicle_state").fetchone() == (6,)


def test_an_alarm_and_a_position_of_one_millisecond_are_both_judged_in_two_batches(conn, writer):
    ingest(conn, writer, [report(3, seq=1)])
    outcome = ingest(conn, writer, [report(3, seq=2, type="alarm", alarms=("sos",))])
    assert (outcome.judged, outcome.late) == (1, 0)


def test_an_undated_alarm_is_judged_at_once_and_again_where_it_was_overtaken(conn, writer):
    ingest(conn, writer, [report(0)])
    outcome = ingest(conn, writer, [undated(10, "removal", seq=7)], START_MS + 10 * MINUTE)
    assert [(f.rule, f.event_ms) for f in outcome.findings] == [("DEVICE_REMOVED", START_MS + 10 * MINUTE)]
    outcome = ingest(conn, writer, [report(5, lat=LAT + 0.01)])
    assert (outcome.judged, outcome.late_vehicles) == (1, ("v1",))
    serve_replays(conn, Replayer(timezone=TIMEZONE))
    lat = conn.execute("SELECT lat FROM finding_current WHERE rule = 'DEVICE_REMOVED'").fetchone()[0]
    assert lat == pytest.approx(LAT + 0.01), "where the vehicle was when the alarm came"
    assert compare(conn, timezone=TIMEZONE).differences == ()


def test_checkpoints_come_every_quarter_of_an_hour_of_event_time(conn, writer):
    for minute in range(0, 120, 2):
        ingest(conn, writer, parked([minute]))
    moments = [row[0] for row in conn.execute("SELECT through FROM vehicle_checkpoint ORDER BY 1").fetchall()]
    gaps_s = [(b - a).total_seconds() for a, b in itertools.pairwise(moments)]
    assert 8 <= len(moments) <= 10
    assert all(840 <= gap_s <= 960 for gap_s in gaps_s[1:]), gaps_s


def test_a_deadline_is_armed_once_and_only_ever_made_earlier_by_the_writer(conn, writer):
    ingest(conn, writer, parked([0]))
    first = deadline_store.of_vehicles(conn, ["v1"])
    assert [(slot[1], slot[2]) for slot in first] == [("d1", "silence")]
    ingest(conn, writer, parked([1]))
    assert deadline_store.of_vehicles(conn, ["v1"]) == first
    ingest(conn, writer, [report(2, type="alarm", alarms=("power_cut",), ext_power_v=0.1)])
    assert min(deadline_store.of_vehicles(conn, ["v1"]).values()) < min(first.values())


def test_a_state_of_another_engine_is_rebuilt_from_the_reports(conn, writer):
    ingest(conn, writer, parked(range(3)))
    conn.execute("UPDATE vehicle_state SET state = 'not a state', state_version = state_version + 1")
    conn.execute("UPDATE vehicle_checkpoint SET state = 'not a state'")
    outcome = ingest(conn, writer, parked([3]))
    assert (outcome.judged, outcome.late_vehicles) == (0, ("v1",))
    serve_replays(conn, Replayer(timezone=TIMEZONE))
    assert from_bytes(state_store.load(conn, ["v1"])["v1"]).last[0] == START_MS + 3 * MINUTE
    assert compare(conn, timezone=TIMEZONE).differences == ()


def test_the_cache_forgets_the_vehicle_that_was_silent_longest(conn):
    writer = RuleWriter(timezone=TIMEZONE, cached_vehicles=2)
    for n in range(2, 5):
        register(conn, f"v{n}", (f"d{n}",))
    for n in (1, 2, 1, 3):
        minute = conn.execute("SELECT count(*) FROM telemetry").fetchone()[0]
        ingest(conn, writer, [report(minute, vehicle_id=f"v{n}", device_id=f"d{n}")])
    assert set(writer._cache) == {"v1", "v3"}
    ingest(conn, writer, [report(9, vehicle_id="v2", device_id="d2")])
    assert compare(conn, timezone=TIMEZONE).differences == ()


def test_batches_with_the_same_new_vehicles_do_not_block_each_other_for_ever(conn, database_url):
    names = [f"w{n}" for n in range(40)]
    for name in names:
        register(conn, name, (f"d-{name}",))
    failures = []

    def work(order, minute):
        try:
            with connect(database_url, name="worker", autocommit=True) as mine:
                writer = RuleWriter(timezone=TIMEZONE)
                for start in range(0, 40, 8):
                    batch = [
                        report(minute, vehicle_id=v, device_id=f"d-{v}") for v in order[start : start + 8]
                    ]
                    ingest(mine, writer, batch)
        except Exception as exc:
            failures.append(exc)

    threads = [
        threading.Thread(target=work, args=(names[::step], minute))
        for step, minute in ((1, 1), (-1, 2), (1, 3))
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    serve_replays(conn, Replayer(timezone=TIMEZONE))
    compared = compare(conn, timezone=TIMEZONE)
    assert (compared.vehicles, compared.differences) == (40, ())


def test_a_writer_waits_for_the_vehicles_that_another_one_holds(conn, database_url, writer):
    ingest(conn, writer, parked([0]))
    done = threading.Event()
    with connect(database_url, name="holder") as holder:
        state_store.lock(holder, ["v1"])

        def work():
            with connect(database_url, name="waiter", autocommit=True) as mine:
                ingest(mine, RuleWriter(timezone=TIMEZONE), parked([1]))
            done.set()

        thread = threading.Thread(target=work)
        thread.start()
        eventually(
            lambda: conn.execute(
                "SELECT 1 FROM pg_stat_activity WHERE application_name = 'pledgewatch-waiter' AND wait_event_type = 'Lock'"
            ).fetchone(),
            what="the writer waiting for the lock",
        )
        assert not done.is_set()
        holder.rollback()
        thread.join(10)
    assert done.is_set()


def test_facts_come_from_the_registry_and_shared_fences_bind_who_has_none_of_its_own(conn):
    register(conn, "pledged", ("p1", "p2"), form="pledge", power="wireless")
    register(conn, "own", ())
    add_fence(conn, "province", LAT, LON, category="allowed_region")
    add_fence(conn, "yard-a", LAT, LON, category="yard")
    add_fence(conn, "city", LAT, LON, category="allowed_region", scope="vehicle")
    conn.execute("INSERT INTO fence_assignment VALUES ('city', 'own', 'region')")
    conn.execute("UPDATE device_binding SET valid_to = '2026-11-05' WHERE device_id = 'p2'")
    fences = [fence_from_row(row) for row in all_versions(conn)]
    facts = load_facts(conn, ["v1", "pledged", "own", "nobody"], fences)
    assert facts["v1"].region_fence_ids == ("province",)
    assert (facts["v1"].yard_fence_ids, facts["v1"].collateral_form) == ((), "mortgage")
    assert facts["pledged"].yard_fence_ids == ("yard-a",)
    assert [(d.device_id, d.power, d.removed_ms is None) for d in facts["pledged"].devices] == [
        ("p1", "wireless", True),
        ("p2", "wireless", False),
    ]
    assert facts["own"].region_fence_ids == ("city",)
    assert facts["nobody"].devices == ()


def test_a_change_in_the_registry_counts_from_the_next_batch_on(conn, writer):
    ingest(conn, writer, parked([0]))
    assert writer._contexts.facts(conn, ["v1"])["v1"].collateral_form == "mortgage"
    conn.execute("UPDATE loan SET collateral_form = 'pledge' WHERE vehicle_id = 'v1'")
    ingest(conn, writer, parked([1]))
    assert writer._contexts.facts(conn, ["v1"])["v1"].collateral_form == "pledge"
    add_fence(conn, "late-yard", LAT, LON, category="yard")
    ingest(conn, writer, parked([2]))
    assert writer._contexts.facts(conn, ["v1"])["v1"].yard_fence_ids == ("late-yard",)
