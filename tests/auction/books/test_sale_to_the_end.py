"""One sale through all of its states, and what happens at each to the money."""

from uuid import UUID

import pytest

from auction import aftermath
from auction.approvals import actions as approvals
from auction.approvals.store import Approval
from auction.bidders import actions as bidders
from auction.cases import store as cases
from auction.ledger import book
from auction.ledger.domain import Account, AccountKind, of_case, of_lot
from auction.settlement import actions as settlements
from auction.title import actions as title
from auction.title.store import TitleStep
from collateral.loans.store import get_loan
from core.errors import Conflict, Forbidden, Rejected
from tests.auction.books.scene import (
    DEPOSIT,
    PRINCIPAL,
    Scene,
    assert_books_right,
    cny,
    sold,
    staged,
)

PRICE = 7_000_000


def events_of(scene: Scene, kind: str) -> list[dict]:
    rows = scene.conn.execute(
        "SELECT payload FROM domain_event WHERE kind = %s AND payload ->> 'vehicle_id' = %s ORDER BY seq",
        (kind, scene.vehicle_id),
    )
    return [row[0] for row in rows]


def handed_over(conn) -> Scene:
    scene = sold(conn, price_minor=PRICE)
    scene.pay(PRICE - DEPOSIT)
    scene.transfer()
    scene.do(title.hand_over, scene.settlement().settlement_id, scene.code, 84_000, "user:anna")
    return scene


def test_the_hammer_frees_the_losers_and_opens_a_settlement(conn):
    scene = sold(conn, price_minor=PRICE)
    settlement = scene.settlement()
    assert (settlement.price_minor, settlement.deposit_minor, settlement.due_minor) == (
        PRICE, DEPOSIT, PRICE - DEPOSIT,
    )  # fmt: skip
    assert scene.free(0) == 10_000_000 - DEPOSIT
    assert scene.free(1) == 10_000_000
    assert cases.get_case(conn, scene.case_id).state == "sold"
    lot = scene.lot()
    assert (lot.timer_kind, lot.next_timer_at) == ("pay_by", settlement.pay_by)
    (told,) = events_of(scene, "lot.hammered")
    assert (told["price_minor"], told["case_id"]) == (PRICE, str(scene.case_id))
    assert_books_right(conn)


def test_invoice_numbers_have_no_gaps_even_when_a_hammer_is_rolled_back(fresh_conn):
    conn = fresh_conn
    numbers = [sold(conn).settlement().invoice_number]

    class PowerCut(Exception):
        pass

    scene = staged(conn)
    scene.publish()
    scene.come()
    scene.bid(0, 6_000_000)

    def hammer_and_fail() -> None:
        with conn.transaction():
            conn.execute(
                "UPDATE lot SET state = 'hammered', hammered_at = now() WHERE lot_id = %s", (scene.lot_id,)
            )
            aftermath.hammered(conn, scene.lot())
            raise PowerCut

    with pytest.raises(PowerCut):
        hammer_and_fail()
    assert_books_right(conn)
    scene.end()
    numbers += [scene.settlement().invoice_number, sold(conn).settlement().invoice_number]
    assert numbers == [1, 2, 3]
    assert_books_right(conn)


def test_a_part_stays_credited_and_the_whole_pays_the_lot(conn):
    scene = sold(conn, price_minor=PRICE)
    first = scene.pay(1_000_000, "bank-1")
    assert (first.settlement.state, first.open_minor, first.release_code) == (
        "awaiting_payment", PRICE - DEPOSIT - 1_000_000, None,
    )  # fmt: skip
    again = scene.pay(1_000_000, "bank-1")
    assert again.open_minor == first.open_minor
    assert_books_right(conn)
    last = scene.pay(first.open_minor, "bank-2")
    assert last.settlement.state == "paid"
    assert last.release_code is not None
    assert last.release_code not in repr(last)
    assert scene.lot().state == "paid"
    proceeds = of_lot(AccountKind.LOT_PROCEEDS, scene.lot().lot_id, "CNY")
    assert book.free_minor(conn, proceeds) == PRICE
    assert_books_right(conn)


def test_what_is_paid_in_excess_is_owed_back_to_the_buyer(conn):
    scene = sold(conn, price_minor=PRICE)
    scene.pay(PRICE, "bank-1")
    assert scene.lot().state == "paid"
    buyer = scene.people[0][0].bidder_id
    owed = Account(AccountKind.REFUNDS_PAYABLE, f"bidder:{buyer}", "CNY")
    assert book.free_minor(conn, owed) == DEPOSIT
    late = scene.pay(5_000, "bank-2")
    assert late.release_code is None
    assert book.free_minor(conn, owed) == DEPOSIT + 5_000
    assert_books_right(conn)


def test_a_bank_reference_with_another_amount_is_refused(conn):
    scene = sold(conn, price_minor=PRICE)
    scene.pay(1_000, "bank-1")
    with pytest.raises(Conflict, match="known with other content"):
        scene.pay(2_000, "bank-1")
    assert_books_right(conn)


def test_a_deposit_that_covers_the_price_pays_it_at_the_hammer(conn):
    scene = staged(conn)
    scene.publish(deposit_minor=6_500_000)
    scene.come()
    scene.bid(0, 6_000_000)
    assert scene.end().state == "paid"
    settlement = scene.settlement()
    assert (settlement.state, settlement.due_minor) == ("paid", -500_000)
    owed = Account(AccountKind.REFUNDS_PAYABLE, f"bidder:{scene.people[0][0].bidder_id}", "CNY")
    assert book.free_minor(conn, owed) == 500_000
    code = scene.do(settlements.new_release_code, settlement.settlement_id, "user:anna")
    scene.transfer()
    scene.do(title.hand_over, settlement.settlement_id, code.lower(), 1, "user:anna")
    assert_books_right(conn)


def test_the_whole_way_ends_with_empty_accounts_and_a_lower_loan(conn):
    scene = handed_over(conn)
    settlement_id = scene.settlement().settlement_id
    scene.do(settlements.add_cost, scene.case_id, "towing", cny(100_000), "T-1", "user:anna")
    before = settlements.waterfall(conn, settlement_id)
    closed = scene.do(settlements.close, settlement_id, "user:anna")
    assert closed.state == "closed"
    after = settlements.waterfall(conn, settlement_id)
    assert after == before, "the preview is the final path"
    assert [(leg.kind, leg.gets_minor) for leg in after.legs] == [
        ("cost", 100_000), ("interest", 0), ("principal", PRINCIPAL), ("surplus", PRICE - PRINCIPAL - 100_000),
    ]  # fmt: skip
    assert sum(leg.gets_minor for leg in after.legs) == PRICE
    number = scene.vehicle_id.removeprefix("V")
    pledgor = Account(AccountKind.PLEDGOR_SURPLUS, f"party:pledgor{number}", "CNY")
    assert book.free_minor(conn, pledgor) == PRICE - PRINCIPAL - 100_000
    assert book.free_minor(conn, of_lot(AccountKind.LOT_PROCEEDS, scene.lot().lot_id, "CNY")) == 0
    assert book.free_minor(conn, of_lot(AccountKind.LOT_DEPOSIT_HELD, scene.lot().lot_id, "CNY")) == 0
    loan = get_loan(conn, f"L{number}")
    assert loan is not None
    assert (loan.balance_minor, loan.status) == (0, "paid")
    assert scene.lot().state == "closed"
    case = cases.get_case(conn, scene.case_id)
    assert case.state == "closed"
    stages = (
        case.valued_at,
        case.published_at,
        case.hammer_at,
        case.paid_at,
        case.transferred_at,
        case.closed_at,
    )
    reached = [stage for stage in stages if stage is not None]
    assert len(reached) == len(stages)
    assert reached == sorted(reached)
    (told,) = events_of(scene, "disposal.closed")
    assert told == {"recovery_case_id": None, "vehicle_id": scene.vehicle_id}
    surplus = PRICE - PRINCIPAL - 100_000
    with pytest.raises(Conflict, match="expected at least"):
        scene.do(settlements.pay_surplus, settlement_id, cny(surplus + 1), scene.ref("out"), "user:anna")
    scene.do(settlements.pay_surplus, settlement_id, cny(surplus), scene.ref("out"), "user:anna")
    assert book.free_minor(conn, pledgor) == 0
    assert scene.do(settlements.close, settlement_id, "user:anna").state == "closed"
    assert len(events_of(scene, "disposal.closed")) == 1
    assert_books_right(conn)


def test_what_the_price_does_not_cover_is_the_debtors_debt(conn):
    scene = sold(conn, price_minor=6_200_000)
    scene.pay(6_200_000 - DEPOSIT)
    scene.do(settlements.add_cost, scene.case_id, "legal", cny(900_000), "R-1", "user:anna")
    scene.transfer()
    scene.do(title.hand_over, scene.settlement().settlement_id, scene.code, 9, "user:anna")
    scene.do(settlements.close, scene.settlement().settlement_id, "user:anna")
    number = scene.vehicle_id.removeprefix("V")
    debtor = Account(AccountKind.DEBTOR_SHORTFALL, f"party:debtor{number}", "CNY")
    assert -book.free_minor(conn, debtor) == 700_000
    loan = get_loan(conn, f"L{number}")
    assert loan is not None
    assert loan.balance_minor == 700_000
    assert_books_right(conn)


def test_a_buyer_who_does_not_pay_loses_deposit_and_case(conn):
    scene = sold(conn, price_minor=PRICE)
    scene.pay(50_000, "bank-1")
    assert scene.let_pay_by_pass().state == "defaulted"
    buyer, _ = scene.people[0]
    suspense = of_case(AccountKind.FORFEIT_SUSPENSE, scene.case_id, "CNY")
    assert book.free_minor(conn, suspense) == DEPOSIT
    owed = Account(AccountKind.REFUNDS_PAYABLE, f"bidder:{buyer.bidder_id}", "CNY")
    assert book.free_minor(conn, owed) == 50_000
    assert cases.get_case(conn, scene.case_id).state == "open"
    with pytest.raises(Conflict, match="credit the wallet instead"):
        scene.pay(1_000, "bank-2")
    assert_books_right(conn)

    # The vehicle is sold again, to somebody else; what the first lost goes the way of the proceeds.
    second = Scene(conn, scene.case_id, scene.vehicle_id)
    second.publish()
    with pytest.raises(Forbidden, match="defaulted_buyer"):
        second.do(bidders.register, second.lot().lot_id, buyer, "cn-private-1")
    second.come()
    second.bid(0, 6_000_000)
    assert second.end().attempt == 2
    second.pay(6_000_000 - DEPOSIT, "bank-3")
    second.transfer()
    second.do(title.hand_over, second.settlement().settlement_id, second.code, 9, "user:anna")
    second.do(settlements.close, second.settlement().settlement_id, "user:anna")
    division = settlements.waterfall(conn, second.settlement().settlement_id)
    assert (division.proceeds_minor, division.forfeited_minor) == (6_000_000, DEPOSIT)
    assert division.surplus_minor == 6_000_000 + DEPOSIT - PRINCIPAL
    assert book.free_minor(conn, suspense) == 0
    assert_books_right(conn)


def test_the_day_of_payment_may_be_moved_once_by_two_people(conn):
    scene = sold(conn, price_minor=PRICE)
    settlement = scene.settlement()
    asked = scene.do(settlements.ask_extension, settlement.settlement_id, 3, "bank holiday", "user:anna")
    with pytest.raises(Forbidden) as refused:
        scene.do(approvals.decide, asked.approval_id, True, "", "user:anna")
    assert refused.value.code == "same_person"
    scene.do(approvals.decide, asked.approval_id, True, "", "user:bert")
    moved = scene.settlement().pay_by
    assert (moved - settlement.pay_by).days == 3
    assert scene.lot().next_timer_at == moved
    with pytest.raises(Conflict, match="extended once"):
        scene.do(settlements.ask_extension, settlement.settlement_id, 3, "again", "user:anna")


def test_no_vehicle_leaves_without_title_and_release_code(conn):
    scene = sold(conn, price_minor=PRICE)
    settlement_id = scene.settlement().settlement_id
    with pytest.raises(Conflict, match="between paid and transferred"):
        scene.do(title.set_step, settlement_id, "keys", "done", "two keys", "user:anna")
    scene.pay(PRICE - DEPOSIT)
    with pytest.raises(Conflict, match="whose title is transferred"):
        scene.do(title.hand_over, settlement_id, scene.code, 9, "user:anna")
    with pytest.raises(Conflict, match="handed over"):
        scene.do(settlements.close, settlement_id, "user:anna")
    assert scene.transfer().state == "transferred"
    with pytest.raises(Forbidden, match="release code"):
        scene.do(title.hand_over, settlement_id, "AAAA-BBBB-CCCC", 9, "user:anna")
    fresh = scene.do(settlements.new_release_code, settlement_id, "user:anna")
    with pytest.raises(Forbidden, match="release code"):
        scene.do(title.hand_over, settlement_id, scene.code, 9, "user:anna")
    done = scene.do(title.hand_over, settlement_id, fresh, 9, "user:anna")
    assert (done.odometer_km, done.handed_over_by) == (9, "user:anna")
    with pytest.raises(Conflict, match="whose title is transferred"):
        scene.do(title.hand_over, settlement_id, fresh, 9, "user:anna")
    with pytest.raises(Conflict, match="before its handover"):
        scene.do(settlements.new_release_code, settlement_id, "user:anna")


def test_a_step_needs_evidence_and_the_steps_before_it(conn):
    scene = sold(conn, price_minor=PRICE)
    scene.pay(PRICE - DEPOSIT)
    settlement_id = scene.settlement().settlement_id
    with pytest.raises(Rejected, match="evidence"):
        scene.do(title.set_step, settlement_id, "keys", "done", " ", "user:anna")
    with pytest.raises(Conflict) as early:
        scene.do(title.set_step, settlement_id, "transfer_filed", "done", "receipt 5", "user:anna")
    assert early.value.facts["missing"] == [
        "buyer_identity", "sale_confirmation", "lien_release", "traffic_violations", "certificate_and_plates",
    ]  # fmt: skip
    blocked = scene.do(title.set_step, settlement_id, "lien_release", "blocked", "office closed", "user:anna")
    assert isinstance(blocked, TitleStep)
    assert (blocked.state, blocked.evidence) == ("blocked", "office closed")
    with pytest.raises(Rejected, match="todo, blocked, done or waived"):
        scene.do(title.set_step, settlement_id, "keys", "finished", "x", "user:anna")


def test_a_step_is_waived_by_a_second_person_alone(conn):
    scene = sold(conn, price_minor=PRICE)
    scene.pay(PRICE - DEPOSIT)
    settlement_id: UUID = scene.settlement().settlement_id
    asked = scene.do(title.set_step, settlement_id, "insurance", "waived", "buyer insures", "user:anna")
    assert isinstance(asked, Approval)
    states = {step.step: step.state for step in title.steps(conn, settlement_id)}
    assert states["insurance"] == "todo"
    with pytest.raises(Forbidden) as refused:
        scene.do(approvals.decide, asked.approval_id, True, "", "user:anna")
    assert refused.value.code == "same_person"
    scene.do(approvals.decide, asked.approval_id, True, "fine", "user:bert")
    step = next(step for step in title.steps(conn, settlement_id) if step.step == "insurance")
    assert (step.state, step.evidence, step.actor) == ("waived", "buyer insures", "user:bert")
    with pytest.raises(Conflict, match="waived"):
        scene.do(title.set_step, settlement_id, "insurance", "done", "policy 9", "user:anna")
    for step in title.steps(conn, settlement_id):
        if step.step != "insurance":
            scene.do(title.set_step, settlement_id, step.step, "done", "paper", "user:anna")
    assert scene.lot().state == "transferred"
