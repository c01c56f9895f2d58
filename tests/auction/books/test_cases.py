"""Disposal cases: opened once, sold on a basis, ended by a hammer or a redemption and never by both."""

import threading
from datetime import timedelta
from functools import partial
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest

from alerts.cases.store import insert_case
from auction.approvals import actions as approvals
from auction.approvals import store as asked_before
from auction.approvals.asking import ACTIONS
from auction.approvals.asking import ask as ask_for_so_long
from auction.approvals.effects import EFFECTS
from auction.cases import actions as cases
from auction.cases import store
from auction.cases.domain import EDGES, CaseState, NewAppraisal
from auction.settlement import actions as settlements
from auction.settlement.domain import JuniorClaim, LenderClaim
from auction.settlement.store import settlement_of_lot
from auction.timers.sweep import sweep
from core.db.pool import connect
from core.errors import Conflict, Forbidden, NotFound, Rejected
from core.events.dispatch import dispatch_once
from core.events.store import emit
from core.policy.pack import load_pack
from core.settings import Settings
from pledgewatch.wiring import consumers
from tests.auction.books.scene import DEPOSIT, START, Scene, assert_books_right, cny, sold, staged

ask = partial(ask_for_so_long, lifetime=timedelta(hours=72))


class Stack:
    """What the wiring asks a stack for."""

    def __init__(self, database_url: str) -> None:
        self.settings = Settings(database_url=database_url, policy_pack="demo", _env_file=None)
        self.database_url = database_url


def recovery_case(scene: Scene) -> UUID:
    return scene.do(insert_case, scene.vehicle_id, "head", "RISK", "user:anna").case_id


def test_a_vehicle_in_the_yard_gets_one_case_however_often_it_is_told(books_url, conn):
    scene = staged(conn)
    recovery = recovery_case(scene)
    handlers = consumers(Stack(books_url))["disposal"]  # type: ignore[arg-type]
    told = {"vehicle_id": scene.vehicle_id, "org_id": "head", "recovered_at": "2026-11-20T08:00:00+00:00"}
    for _ in range(2):
        scene.do(emit, "case.in_yard", str(recovery), told)
    assert dispatch_once(conn, "disposal", handlers) > 1
    # There was one opened by hand: it is the one.
    found = store.case_of_recovery(conn, recovery)
    assert found is not None
    assert found.case_id == scene.case_id
    assert found.repossessed_at is not None
    assert len(store.list_cases(conn, vehicle_id=scene.vehicle_id)) == 1
    scene.do(emit, "case.released", str(recovery), {"vehicle_id": scene.vehicle_id, "reason": "redeemed"})
    dispatch_once(conn, "disposal", handlers)
    assert store.get_case(conn, scene.case_id).state == "redeemed"
    # The vehicle comes into the yard a second time: a new recovery, a new case.
    again = recovery_case(scene)
    scene.do(emit, "case.in_yard", str(again), told)
    dispatch_once(conn, "disposal", handlers)
    fresh = store.case_of_recovery(conn, again)
    assert fresh is not None
    assert (fresh.state, fresh.pack, fresh.opened_by) == ("open", "demo", "system:recovery")
    assert conn.execute("SELECT count(*) FROM event_failure").fetchone() == (0,)


def test_staff_open_cases_only_for_vehicles_that_the_lender_holds(conn):
    scene = staged(conn)
    with pytest.raises(Conflict) as exists:
        scene.do(cases.open_by_staff, scene.vehicle_id, load_pack("demo"), "user:anna")
    assert exists.value.code == "case_exists"
    conn.execute("UPDATE disposal_case SET state = 'redeemed' WHERE case_id = %s", (scene.case_id,))
    conn.execute("UPDATE vehicle SET custody = 'pledgor' WHERE vehicle_id = %s", (scene.vehicle_id,))
    with pytest.raises(Conflict) as away:
        scene.do(cases.open_by_staff, scene.vehicle_id, load_pack("demo"), "user:anna")
    assert away.value.code == "not_in_custody"
    with pytest.raises(NotFound):
        scene.do(cases.open_by_staff, "nothing", load_pack("demo"), "user:anna")


def test_a_basis_must_be_one_that_lets_the_lender_sell(conn):
    scene = staged(conn)
    day = store.today(conn, "Asia/Shanghai")
    for kind, reference, dated, code in (
        ("gift", "x", day, "bad_basis"),
        ("judgment", " ", day, "basis_without_reference"),
        ("judgment", "2026-17", day + timedelta(days=1), "basis_in_future"),
        ("lease_recovery", "lease 3", day, "basis_needs_lease"),
        ("agreement_after_default", "paper", None, "basis_undated"),
        # 90 days past due: an agreement of 100 days ago was made before the default (流押).
        ("agreement_after_default", "paper", day - timedelta(days=100), "agreement_before_default"),
    ):
        with pytest.raises(Rejected) as refused:
            scene.do(cases.set_basis, scene.case_id, kind, reference, dated, "user:anna")
        assert refused.value.code == code
    case = scene.do(cases.set_basis, scene.case_id, "agreement_after_default", "paper", day, "user:anna")
    assert (case.basis_kind, case.basis_by) == ("agreement_after_default", "user:anna")
    lease = staged(conn, collateral_form="lease_back")
    assert lease.do(cases.set_basis, lease.case_id, "lease_recovery", "lease 3", day, "x").basis_kind
    scene.publish()
    with pytest.raises(Conflict) as frozen:
        scene.do(cases.set_basis, scene.case_id, "judgment", "2026-17", day, "user:anna")
    assert frozen.value.code == "basis_frozen"


def test_appraisals_are_checked_kept_and_the_newest_counts(conn):
    scene = staged(conn)
    day = store.today(conn, "Asia/Shanghai")
    for change, code in (
        ({"value_minor": 0}, "bad_amount"),
        ({"low_minor": 9_000_000}, "bad_interval"),
        ({"high_minor": 1}, "bad_interval"),
        ({"method": "guess"}, "bad_method"),
        ({"method": "model"}, "estimate_missing"),
        ({"appraiser": " "}, "appraiser_missing"),
        ({"currency": "USD"}, "currency_mismatch"),
        ({"valued_on": day + timedelta(days=1)}, "appraisal_in_future"),
        ({"valued_on": day - timedelta(days=91)}, "appraisal_stale"),
    ):
        facts: dict[str, Any] = {
            "value_minor": 8_000_000,
            "currency": "CNY",
            "method": "manual",
            "appraiser": "a",
            "valued_on": day,
        }
        with pytest.raises(Rejected) as refused:
            scene.do(cases.add_appraisal, scene.case_id, NewAppraisal(**(facts | change)), "user:anna")
        assert refused.value.code == code, change
    second = NewAppraisal(7_000_000, "CNY", "model", "model:3", day, estimate_id=7, low_minor=6_000_000)
    scene.do(cases.add_appraisal, scene.case_id, second, "user:anna")
    newest = store.newest_appraisal(conn, scene.case_id)
    assert newest is not None
    assert (newest.value_minor, newest.estimate_id) == (7_000_000, 7)
    assert len(store.list_appraisals(conn, scene.case_id)) == 2
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        conn.execute("UPDATE appraisal SET value_minor = 1")


def test_a_case_goes_only_where_the_table_says(conn):
    scene = staged(conn)
    for source in CaseState:
        for target in CaseState:
            conn.execute("UPDATE disposal_case SET state = %s WHERE case_id = %s", (source, scene.case_id))
            if source == target or (source, target) in EDGES:
                assert scene.do(cases.move, scene.case_id, target).state == target
                continue
            with pytest.raises(Conflict) as refused:
                scene.do(cases.move, scene.case_id, target)
            assert refused.value.code == "bad_edge", (source, target)
            assert store.get_case(conn, scene.case_id).state == source
    leaving = {source for source, _ in EDGES}
    assert not leaving & {CaseState.CLOSED, CaseState.REDEEMED, CaseState.REVERSED}


def test_redemption_withdraws_the_lot_and_gives_every_deposit_back(conn):
    scene = staged(conn)
    scene.publish()
    scene.come()
    scene.bid(0, START)
    done = scene.do(cases.redeem, "paid off", "user:anna", case_id=scene.case_id)
    assert done is not None
    assert done.state == "redeemed"
    assert scene.lot().state == "withdrawn"
    assert scene.free(0) == 10_000_000
    assert scene.do(cases.redeem, "again", "user:anna", case_id=scene.case_id) == done
    assert scene.do(cases.redeem, "x", "user:anna", recovery_case_id=uuid4()) is None
    assert_books_right(conn)


def test_nobody_redeems_what_has_been_sold(conn):
    scene = sold(conn)
    with pytest.raises(Conflict) as refused:
        scene.do(cases.redeem, "too late", "user:anna", case_id=scene.case_id)
    assert refused.value.code == "already_hammered"
    assert scene.lot().state == "hammered"
    assert_books_right(conn)


def test_hammer_and_redemption_at_once_never_both_happen(books_url, conn):
    outcomes: list[str] = []
    for turn in range(12):
        scene = staged(conn)
        scene.publish()
        scene.come()
        scene.bid(0, START)
        conn.execute(
            "UPDATE lot SET starts_at = starts_at - interval '1 hour', planned_end_at = now() - interval '9 s',"
            " ends_at = now() - interval '9 s', next_timer_at = now() - interval '5 s' WHERE lot_id = %s",
            (scene.lot_id,),
        )
        gate = threading.Barrier(2)

        def hammer(gate: threading.Barrier = gate) -> None:
            with connect(books_url, name="sweeper", autocommit=True) as mine:
                gate.wait()
                sweep(mine)

        def redeem(gate: threading.Barrier = gate, scene: Scene = scene, turn: int = turn) -> None:
            with connect(books_url, name="redeemer", autocommit=True) as mine:
                gate.wait()
                threading.Event().wait(turn % 4 * 0.004)
                try:
                    with mine.transaction():
                        cases.redeem(mine, "paid", "user:anna", case_id=scene.case_id)
                    outcomes.append("redeemed")
                except Conflict as refused:
                    outcomes.append(refused.code)

        threads = [threading.Thread(target=hammer), threading.Thread(target=redeem)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        state = scene.lot().state
        settlement = settlement_of_lot(conn, scene.lot().lot_id)
        case = store.get_case(conn, scene.case_id)
        if outcomes[-1] == "redeemed":
            assert (state, case.state, settlement) == ("withdrawn", "redeemed", None)
            assert scene.free(0) == 10_000_000
        else:
            assert outcomes[-1] == "already_hammered"
            assert (state, case.state) == ("hammered", "sold")
            assert settlement is not None
            assert scene.free(0) == 10_000_000 - DEPOSIT
    assert len(outcomes) == 12
    assert_books_right(conn)


def test_costs_above_the_cap_wait_for_a_second_person(conn):
    scene = staged(conn)
    cap = load_pack("demo").cost_caps["towing"]
    first = scene.do(settlements.add_cost, scene.case_id, "towing", cny(cap - 10), "T-1", "user:anna")
    assert first.state == "accepted"
    assert scene.do(settlements.add_cost, scene.case_id, "towing", cny(cap - 10), "T-1", "user:anna") == first
    with pytest.raises(Conflict, match="as before"):
        scene.do(settlements.add_cost, scene.case_id, "towing", cny(5), "T-1", "user:anna")
    # Small lines together are not a way around the cap.
    second = scene.do(settlements.add_cost, scene.case_id, "towing", cny(11), "T-2", "user:anna")
    third = scene.do(settlements.add_cost, scene.case_id, "towing", cny(12), "T-3", "user:anna")
    assert (second.state, third.state) == ("waiting", "waiting")
    asked = {a.subject_id: a for a in asked_before.list_approvals(conn, subject="cost", waiting=True)}
    with pytest.raises(Forbidden) as refused:
        scene.do(approvals.decide, asked[str(second.cost_id)].approval_id, True, "", "user:anna")
    assert refused.value.code == "same_person"
    scene.do(approvals.decide, asked[str(second.cost_id)].approval_id, True, "", "user:bert")
    scene.do(approvals.decide, asked[str(third.cost_id)].approval_id, False, "not needed", "user:bert")
    states = dict(
        conn.execute(
            "SELECT receipt, state FROM disposal_cost WHERE case_id = %s", (scene.case_id,)
        ).fetchall()
    )
    assert states == {"T-1": "accepted", "T-2": "accepted", "T-3": "refused"}
    for kind, amount, receipt in (("tips", cny(5), "x"), ("towing", cny(0), "x"), ("towing", cny(5), " ")):
        with pytest.raises(Rejected):
            scene.do(settlements.add_cost, scene.case_id, kind, amount, receipt, "user:anna")


def test_a_cost_that_nobody_decided_in_time_is_asked_about_again(conn):
    scene = staged(conn)
    line = ("other", cny(60_000), "R-1", "user:anna")
    waiting = scene.do(settlements.add_cost, scene.case_id, *line)
    key: dict[str, Any] = {"subject": "cost", "subject_id": str(waiting.cost_id), "waiting": True}
    (first,) = asked_before.list_approvals(conn, **key)
    assert (first.facts["cap_minor"], first.facts["sum_minor"]) == (50_000, 60_000)
    scene.do(settlements.add_cost, scene.case_id, *line)
    assert asked_before.list_approvals(conn, **key) == [first]
    conn.execute(
        "UPDATE approval SET expires_at = now() - interval '1 s' WHERE approval_id = %s", (first.approval_id,)
    )
    scene.do(settlements.add_cost, scene.case_id, *line)
    (second,) = asked_before.list_approvals(conn, **key)
    assert second.approval_id != first.approval_id


def test_claims_are_recorded_with_their_reference_and_rank(conn):
    scene = sold(conn, price_minor=7_000_000)
    day = store.today(conn, "Asia/Shanghai")
    claim = LenderClaim(5_000_000, 5_500_000, 900_000, day - timedelta(days=73), "CNY", "statement 1")
    scene.do(settlements.record_lender_claim, scene.case_id, claim, "user:anna")
    junior = JuniorClaim(2, "second bank", 400_000, "CNY", "deed 4")
    scene.do(settlements.record_junior_claim, scene.case_id, junior, "user:anna")
    with pytest.raises(Conflict, match="2 is taken"):
        scene.do(settlements.record_junior_claim, scene.case_id, junior, "user:anna")
    division = settlements.waterfall(conn, scene.settlement().settlement_id)
    # 24 % of 5,000,000 for 73 of 365 days.
    assert [(leg.kind, leg.gets_minor) for leg in division.legs] == [
        ("interest", 240_000), ("principal", 5_000_000), ("junior", 400_000), ("surplus", 1_360_000),
    ]  # fmt: skip
    assert (division.excess_interest_minor, division.excess_principal_minor) == (660_000, 500_000)
    with pytest.raises(Rejected, match="accrues_from until"):
        scene.do(
            settlements.record_lender_claim,
            scene.case_id,
            LenderClaim(1, 1, 1, day + timedelta(days=1), "CNY", "s"),
            "user:anna",
        )


def test_every_action_that_can_be_asked_for_has_an_effect():
    assert set(EFFECTS) == ACTIONS


def test_every_action_with_four_eyes_refuses_the_same_person(conn):
    scene = staged(conn)
    scene.publish()
    lot_id = str(scene.lot().lot_id)
    for action in ("suspend", "resume", "withdraw"):
        asked = scene.do(ask, "lot", lot_id, action, {"reason": "stay"}, "head", "user:anna")
        with pytest.raises(Forbidden) as refused:
            scene.do(approvals.decide, asked.approval_id, True, "", "user:anna")
        assert refused.value.code == "same_person"
        with pytest.raises(psycopg.errors.CheckViolation), conn.transaction():
            asked_before.decide(conn, asked.approval_id, "approved", "user:anna", "")
        with pytest.raises(Conflict) as twice:
            scene.do(ask, "lot", lot_id, action, {}, "head", "user:bert")
        assert twice.value.code == "approval_waiting"
        scene.do(approvals.decide, asked.approval_id, True, "", "user:bert")
        with pytest.raises(Conflict) as decided:
            scene.do(approvals.decide, asked.approval_id, True, "", "user:bert")
        assert decided.value.code == "already_decided"
    assert scene.lot().state == "withdrawn"


def test_an_approval_that_can_no_longer_take_effect_stays_undecided(conn):
    scene = staged(conn)
    scene.publish()
    lot_id = scene.lot().lot_id
    asked = scene.do(ask, "lot", str(lot_id), "resume", {}, "head", "user:anna")
    with pytest.raises(Conflict) as refused:
        scene.do(approvals.decide, asked.approval_id, True, "", "user:bert")
    assert refused.value.code == "bad_edge"
    assert asked_before.get(conn, asked.approval_id).decision is None
    with pytest.raises(Rejected, match="reason"):
        scene.do(approvals.decide, asked.approval_id, False, " ", "user:anna")
    assert (
        scene.do(approvals.decide, asked.approval_id, False, "mine, taken back", "user:anna").decision
        == "refused"
    )
    with pytest.raises(Rejected, match="lot paint"):
        scene.do(ask, "lot", str(lot_id), "paint", {}, "head", "user:anna")


def test_a_question_that_nobody_answered_in_time_is_asked_anew(conn):
    scene = staged(conn)
    scene.publish()
    lot_id = str(scene.lot().lot_id)
    old = scene.do(ask, "lot", lot_id, "withdraw", {}, "head", "user:anna", lifetime=timedelta(0))
    with pytest.raises(Conflict) as expired:
        scene.do(approvals.decide, old.approval_id, True, "", "user:bert")
    assert expired.value.code == "expired"
    fresh = scene.do(ask, "lot", lot_id, "withdraw", {}, "head", "user:anna")
    assert fresh.approval_id != old.approval_id
    assert asked_before.get(conn, old.approval_id).decided_by == "system:expiry"
    assert [a.approval_id for a in asked_before.list_approvals(conn, waiting=True, subject_id=lot_id)] == [
        fresh.approval_id
    ]
