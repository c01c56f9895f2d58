"""Who may bid, under which code, with whose money."""

import re
import threading
from datetime import timedelta

import pytest

from auction.bidders import actions as bidders
from auction.bidders import exclusions
from auction.bidders import store as bidder_store
from auction.cases import actions as cases
from auction.cases.domain import NewAppraisal
from auction.cases.store import today
from auction.deposits import actions as deposits
from auction.deposits import store as deposit_store
from auction.lots import actions as lots
from auction.lots.store import database_now
from auction.settlement import actions as settlements
from collateral.staff.access import create_token
from collateral.staff.people import create_user
from core.db.pool import connect
from core.errors import Conflict, Forbidden, NotFound, Rejected
from tests.auction.books.scene import DEPOSIT, START, Scene, assert_books_right, cny, sold, staged

TERMS = "cn-private-1"


@pytest.fixture
def scene(conn) -> Scene:
    made = staged(conn)
    made.publish()
    return made


def test_staff_may_not_bid_and_neither_may_whoever_appraised(scene):
    conn = scene.conn
    with conn.transaction():
        create_user(conn, "zoe", "correct horse battery", ["disposal", "bidder"])
        create_token(conn, "auditor", name="audit")
        create_token(conn, "bidder", name="buyer")
    tokens = dict(conn.execute("SELECT name, token_id FROM api_token").fetchall())
    for actor in ("user:zoe", f"token:{tokens['audit']}:audit", "link:recovery"):
        with pytest.raises(Forbidden) as refused:
            scene.do(bidders.bidder_of, actor, "nobody")
        assert (refused.value.code, refused.value.facts["reason"]) == ("excluded_party", "staff")
    buyer = scene.do(bidders.bidder_of, f"token:{tokens['buyer']}:buyer", "买方")
    assert scene.do(bidders.bidder_of, buyer.actor, "another name") == buyer
    # The appraiser of the scene comes after appraising, another one is a bidder before.
    late = scene.do(bidders.bidder_of, "user:appraiser", "late")
    with pytest.raises(Forbidden, match="appraiser"):
        scene.do(bidders.register, scene.lot().lot_id, late, TERMS)
    day = today(conn, "Asia/Shanghai")
    second = NewAppraisal(7_900_000, "CNY", "manual", buyer.actor, day)
    scene.do(cases.add_appraisal, scene.case_id, second, "user:anna")
    assert [found.reason for found in bidder_store.list_exclusions(conn, buyer.bidder_id)] == ["appraiser"]
    with pytest.raises(Forbidden, match="appraiser"):
        scene.do(bidders.register, scene.lot().lot_id, buyer, TERMS)


def test_a_bidder_who_became_staff_is_found_at_registration(scene):
    conn = scene.conn
    buyer = scene.do(bidders.bidder_of, "user:later", "later")
    with conn.transaction():
        create_user(conn, "later", "correct horse battery", ["risk_analyst"])
    with pytest.raises(Forbidden, match="risk_analyst"):
        scene.do(bidders.register, scene.lot().lot_id, buyer, TERMS)


def test_registration_asks_for_the_terms_and_gives_a_random_code(scene):
    lot_id = scene.lot().lot_id
    buyer = scene.do(bidders.bidder_of, "user:b", "B")
    with pytest.raises(Rejected) as refused:
        scene.do(bidders.register, lot_id, buyer, "cn-private-0")
    assert (refused.value.code, refused.value.facts["terms"]) == ("terms_version", TERMS)
    made = scene.do(bidders.register, lot_id, buyer, TERMS)
    assert made.state == "applied"
    assert re.fullmatch(r"B-[2-9A-HJ-NP-Z]{4}", made.code)
    with pytest.raises(Conflict) as twice:
        scene.do(bidders.register, lot_id, buyer, TERMS)
    assert twice.value.code == "already_registered"
    codes = set()
    for number in range(12):
        another = scene.do(bidders.bidder_of, f"user:b{number}", "B")
        codes.add(scene.do(bidders.register, lot_id, another, TERMS).code)
    assert len(codes) == 12
    assert codes != set(sorted(codes)[:1])


def test_eligible_needs_identity_and_deposit_in_either_order(scene):
    lot_id = scene.lot().lot_id
    first = scene.do(bidders.bidder_of, "user:first", "first")
    registered = scene.do(bidders.register, lot_id, first, TERMS)
    scene.do(deposits.credit_wallet, first.bidder_id, cny(DEPOSIT), scene.ref("in-a"), "user:anna")
    scene.do(deposits.hold, registered.registration_id, first.actor)
    assert bidder_store.get_registration(scene.conn, registered.registration_id).state == "applied"
    with pytest.raises(Forbidden):
        scene.do(bidders.verify, first.bidder_id, "id", first.actor)
    scene.do(bidders.verify, first.bidder_id, "id-card", "user:anna")
    assert bidder_store.get_registration(scene.conn, registered.registration_id).state == "eligible"
    scene.do(bidders.verify, first.bidder_id, "forged", "user:anna", passed=False)
    assert bidder_store.get_registration(scene.conn, registered.registration_id).state == "applied"
    second = scene.do(bidders.bidder_of, "user:second", "second")
    scene.do(bidders.verify, second.bidder_id, "forged", "user:anna", passed=False)
    with pytest.raises(Forbidden) as refused:
        scene.do(bidders.register, lot_id, second, TERMS)
    assert refused.value.code == "kyc_refused"


def test_a_lot_without_deposit_makes_eligible_at_once(conn):
    scene = staged(conn)
    scene.publish(deposit_minor=0)
    scene.come(wallet_minor=0, hold=False)
    registration = scene.people[0][1]
    assert registration.state == "eligible"
    held = scene.do(deposits.hold, registration.registration_id, "x")
    assert (held.amount_minor, held.state) == (0, "pending")
    scene.bid(0, START)
    assert scene.end().state == "hammered"
    assert scene.settlement().deposit_minor == 0
    scene.pay(START)
    assert scene.lot().state == "paid"
    assert_books_right(conn)


def test_a_hold_needs_the_money_and_is_placed_once(scene):
    poor = scene.come(wallet_minor=DEPOSIT - 1, hold=False)
    registration = scene.people[poor][1]
    with pytest.raises(Conflict) as refused:
        scene.do(deposits.hold, registration.registration_id, "x")
    assert refused.value.code == "insufficient_funds"
    assert deposits.hold_of(scene.conn, registration.registration_id) is None
    bidder_id = scene.people[poor][0].bidder_id
    scene.do(deposits.credit_wallet, bidder_id, cny(1), scene.ref("one-more"), "user:anna")
    first = scene.do(deposits.hold, registration.registration_id, "x")
    assert scene.do(deposits.hold, registration.registration_id, "x") == first
    assert scene.free(poor) == 0
    assert_books_right(scene.conn)


def test_two_holds_at_once_with_money_for_one(books_url, conn):
    one, two = staged(conn), staged(conn)
    one.publish()
    two.publish()
    place = one.come(wallet_minor=DEPOSIT, hold=False)
    bidder, first = one.people[place]
    second = two.do(bidders.register, two.lot().lot_id, bidder, TERMS)
    gate = threading.Barrier(2)
    outcomes: list[str] = []

    def hold(registration_id) -> None:
        with connect(books_url, name="holder", autocommit=True) as mine:
            gate.wait()
            try:
                with mine.transaction():
                    deposits.hold(mine, registration_id, "x")
                outcomes.append("held")
            except Conflict as refused:
                outcomes.append(refused.code)

    threads = [threading.Thread(target=hold, args=(r.registration_id,)) for r in (first, second)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(outcomes) == ["held", "insufficient_funds"]
    assert one.free(place) == 0
    assert_books_right(conn)


def test_only_free_money_can_be_withdrawn(scene):
    place = scene.come(wallet_minor=DEPOSIT + 500)
    bidder_id = scene.people[place][0].bidder_id
    with pytest.raises(Conflict, match="expected at least 501"):
        scene.do(deposits.withdraw, bidder_id, cny(501), scene.ref("out-1"), "user:anna")
    scene.do(deposits.withdraw, bidder_id, cny(500), scene.ref("out-1"), "user:anna")
    scene.do(deposits.withdraw, bidder_id, cny(500), scene.ref("out-1"), "user:anna")
    assert scene.free(place) == 0
    for amount, reference, code in (
        (0, "out-2", "bad_amount"),
        (-5, "out-2", "bad_amount"),
        (5, " ", "bad_reference"),
    ):
        with pytest.raises(Rejected) as refused:
            scene.do(deposits.credit_wallet, bidder_id, cny(amount), reference, "user:anna")
        assert refused.value.code == code
    with pytest.raises(NotFound):
        scene.do(deposits.credit_wallet, 10**6, cny(5), "in-x", "user:anna")
    assert_books_right(scene.conn)


def test_a_barred_bidder_gets_the_deposit_back_but_a_leader_is_not_barred(scene):
    loser, leader = scene.come(), scene.come()
    scene.bid(loser, START)
    scene.bid(leader, START + 100_000)
    with pytest.raises(Conflict) as refused:
        scene.do(bidders.bar, scene.people[leader][1].registration_id, "shill", "user:anna")
    assert refused.value.code == "leading_bidder"
    with pytest.raises(Conflict, match="leads"):
        scene.do(bidders.verify, scene.people[leader][0].bidder_id, "forged", "user:anna", passed=False)
    with pytest.raises(Rejected):
        scene.do(bidders.bar, scene.people[loser][1].registration_id, " ", "user:anna")
    barred = scene.do(bidders.bar, scene.people[loser][1].registration_id, "shill", "user:anna")
    assert (barred.state, barred.barred_reason) == ("barred", "shill (user:anna)")
    assert scene.free(loser) == 10_000_000
    with pytest.raises(Conflict, match="barred"):
        scene.do(deposits.hold, barred.registration_id, "x")
    with pytest.raises(AssertionError, match="not_eligible"):
        scene.bid(loser, START + 500_000)
    scene.end()
    assert bidder_store.get_registration(scene.conn, barred.registration_id).state == "barred"
    assert_books_right(scene.conn)


def test_excluding_somebody_bars_where_they_could_still_bid(scene):
    place = scene.come()
    bidder, registration = scene.people[place]
    with pytest.raises(Rejected, match="expected one of"):
        scene.do(bidders.exclude, bidder.bidder_id, "ugly", "user:anna")
    scene.do(bidders.exclude, bidder.bidder_id, "sanctioned", "user:anna", note="list of November")
    assert bidder_store.get_registration(scene.conn, registration.registration_id).state == "barred"
    assert scene.free(place) == 10_000_000
    with pytest.raises(Forbidden, match="sanctioned"):
        exclusions.check(scene.conn, bidder, scene.case_id)


def test_nobody_registers_or_holds_once_a_lot_is_decided(conn):
    scene = sold(conn)
    buyer = scene.do(bidders.bidder_of, "user:late", "late")
    with pytest.raises(Conflict) as refused:
        scene.do(bidders.register, scene.lot().lot_id, buyer, TERMS)
    assert refused.value.code == "registration_closed"
    states = {r.code: r.state for r in bidder_store.registrations_of_lot(conn, scene.lot().lot_id)}
    assert sorted(states.values()) == ["released", "winner"]
    with pytest.raises(Conflict, match="takes bidders, was hammered"):
        scene.do(deposits.hold, scene.people[1][1].registration_id, "x")


def test_a_hold_ends_once_whatever_is_tried_after_it(scene):
    place = scene.come()
    held = deposits.hold_of(scene.conn, scene.people[place][1].registration_id)
    assert held is not None
    assert scene.do(deposits.release, held)
    assert not scene.do(deposits.release, held)
    assert not scene.do(deposits.forfeit, held, scene.case_id)
    with pytest.raises(Conflict, match="had ended"):
        scene.do(deposits.apply_to_price, held, 100)
    with pytest.raises(Conflict, match="its hold was voided"):
        scene.do(deposits.hold, held.registration_id, "x")
    assert scene.free(place) == 10_000_000
    assert_books_right(scene.conn)


def test_an_unsold_or_withdrawn_lot_gives_every_deposit_back(conn):
    for how in ("unsold", "withdrawn"):
        scene = staged(conn)
        scene.publish()
        scene.come()
        scene.come()
        if how == "unsold":
            assert scene.end().state == "unsold"
        else:
            scene.bid(0, START)
            scene.do(lots.withdraw, scene.lot().lot_id, "title_defect", "user:bert")
        assert [scene.free(0), scene.free(1)] == [10_000_000, 10_000_000]
        assert deposit_store.pending_of_lot(conn, scene.lot().lot_id) == []
        row = conn.execute("SELECT state FROM disposal_case WHERE case_id = %s", (scene.case_id,)).fetchone()
        assert row == ("open",)
    assert_books_right(conn)


def test_a_payment_needs_the_right_currency_and_a_time_that_has_been(conn):
    scene = sold(conn)
    settlement_id = scene.settlement().settlement_id
    now = database_now(conn)
    for amount, moment, code in (
        (cny(5), now + timedelta(hours=1), "bad_received_at"),
        (cny(5), now.replace(tzinfo=None), "bad_received_at"),
        (cny(0), now - timedelta(seconds=1), "bad_amount"),
        (type(cny(5))(5, "USD"), now - timedelta(seconds=1), "currency_mismatch"),
    ):
        with pytest.raises(Rejected) as refused:
            scene.do(
                settlements.record_payment, settlement_id, scene.ref("bank-9"), amount, moment, "user:anna"
            )
        assert refused.value.code == code
    assert scene.settlement().state == "awaiting_payment"


def test_one_bank_transfer_is_a_payment_or_a_credit_and_never_both(conn):
    scene = sold(conn)
    scene.pay(1_000, "transfer")
    bidder_id = scene.people[0][0].bidder_id
    with pytest.raises(Conflict) as refused:
        scene.do(deposits.credit_wallet, bidder_id, cny(1_000), scene.ref("transfer"), "user:anna")
    assert refused.value.code == "reference_differs"
    scene.do(deposits.credit_wallet, bidder_id, cny(1_000), scene.ref("other"), "user:anna")
    with pytest.raises(Conflict):
        scene.pay(1_000, "other")
    assert_books_right(conn)
