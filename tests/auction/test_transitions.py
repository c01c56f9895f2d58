"""The life of a lot: every edge of the table, every edge that is not in it, and what each guard asks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from auction.cases import store as case_store
from auction.domain import Lot, LotTerms
from auction.engine.apply import apply
from auction.engine.state import BadEdge, Command, End, Open, Resume, Suspend, Withdraw
from auction.log.store import events_after
from auction.lots import actions
from auction.lots.sale import sale_of
from auction.lots.store import database_now, get_lot, list_lots
from auction.settlement.advance import advance
from auction.timers.store import call_decide
from auction.transitions import EVENTS, STATES, TRANSITIONS, edges
from core.db.pool import Connection
from core.errors import Conflict, Forbidden, PledgewatchError, Rejected, Stale
from tests.auction.chain import check_chain
from tests.auction.sales import accepted, bidder, disposal_case, open_sale

MINUTE = timedelta(minutes=1)
ALL = [(state, event) for state in STATES for event in EVENTS]
ALLOWED = [(state, event) for state, event in ALL if edges(state, event)]
FORBIDDEN = [(state, event) for state, event in ALL if not edges(state, event)]


def terms(conn: Connection, **changes: Any) -> LotTerms:
    now = database_now(conn)
    return replace(
        LotTerms(title="a car", start_minor=70_000_00, starts_at=now + MINUTE, ends_at=now + 6 * MINUTE),
        **changes,
    )


def in_review(conn: Connection, **changes: Any) -> Lot:
    lot = actions.draft(conn, disposal_case(conn), terms(conn, **changes), "drafter")
    return actions.submit(conn, lot.lot_id, "submitter")


def published(conn: Connection, **changes: Any) -> Lot:
    return actions.publish(conn, in_review(conn, **changes).lot_id, "publisher")


def code_of(act: Callable[[], object]) -> str:
    with pytest.raises(PledgewatchError) as refusal:
        act()
    return refusal.value.code


def perform(conn: Connection, lot: Lot, event: str) -> object:
    """Do the event the way the product does it."""
    lot_id = lot.lot_id
    acts: dict[str, Callable[[], object]] = {
        "submit": lambda: actions.submit(conn, lot_id, "x"),
        "send_back": lambda: actions.send_back(conn, lot_id, "x"),
        "publish": lambda: actions.publish(conn, lot_id, "x"),
        "open": lambda: actions.open_on_time(conn, lot_id),
        "hold_back": lambda: held_back(conn, lot),
        "hammer": lambda: decided(conn, lot),
        "end_unsold": lambda: decided(conn, lot),
        "suspend": lambda: actions.suspend(conn, lot_id, "stay", "x"),
        "resume": lambda: actions.resume(conn, lot_id, "x"),
        "redeem": lambda: actions.redeem(conn, lot_id, "x"),
        "withdraw": lambda: actions.withdraw(conn, lot_id, "stay", "x"),
    }
    # After the hammer the books move the lot, each along one edge.
    return acts.get(event, lambda: advance(conn, lot_id, event))()


def held_back(conn: Connection, lot: Lot) -> Lot:
    conn.execute("UPDATE loan SET status = 'paid' WHERE vehicle_id = %s", (lot.vehicle_id,))
    return actions.open_on_time(conn, lot.lot_id)


def decided(conn: Connection, lot: Lot) -> None:
    if call_decide(conn, lot.lot_id, lot.epoch) == "stale":
        raise Conflict("stale", code="bad_edge")


def lot_in(conn: Connection, state: str) -> Lot:
    """A lot put into a state by hand, long ended."""
    ended = database_now(conn) - 5 * MINUTE
    sale = open_sale(conn, state=state, starts_at=ended - 5 * MINUTE, ends_at=ended)
    return sale.lot(conn)


@pytest.mark.parametrize(("state", "event"), FORBIDDEN)
def test_every_edge_that_is_not_in_the_table_is_refused(sales_db: Connection, state: str, event: str) -> None:
    lot = lot_in(sales_db, state)
    assert code_of(lambda: perform(sales_db, lot, event)) in {"bad_edge", "already_hammered"}
    after = get_lot(sales_db, lot.lot_id)
    assert (after.state, after.epoch, after.seq) == (state, lot.epoch, 0)


@pytest.mark.parametrize(("state", "event"), ALLOWED)
def test_every_edge_of_the_table_leads_where_it_says(sales_db: Connection, state: str, event: str) -> None:
    lot = lot_in(sales_db, state)
    now = database_now(sales_db)
    if event == "publish":
        sales_db.execute(
            "UPDATE lot SET planned_end_at = %(t)s, ends_at = %(t)s, start_minor = 7000000 WHERE lot_id = %(lot)s",
            {"t": now + 5 * MINUTE, "lot": lot.lot_id},
        )
    if event == "submit":
        sales_db.execute("UPDATE lot SET start_minor = 7000000 WHERE lot_id = %s", (lot.lot_id,))
    if event == "hammer":
        sales_db.execute("UPDATE lot SET ends_at = %s WHERE lot_id = %s", (now + MINUTE, lot.lot_id))
        sale = open_sale(sales_db)  # a registration to lead with
        sales_db.execute(
            "UPDATE lot SET leader_id = (SELECT registration_id FROM registration WHERE lot_id = %s LIMIT 1),"
            " price_minor = 6000000, leader_max_minor = 6000000, reserve_met = true, ends_at = %s WHERE lot_id = %s",
            (sale.lot_id, lot.ends_at, lot.lot_id),
        )
    if state == "draft" and event in {"withdraw", "redeem"}:
        sales_db.execute("UPDATE lot SET published_at = NULL WHERE lot_id = %s", (lot.lot_id,))
    targets = {edge.target for edge in edges(state, event)}
    perform(sales_db, get_lot(sales_db, lot.lot_id), event)
    after = get_lot(sales_db, lot.lot_id)
    assert after.state in targets
    assert after.epoch == lot.epoch + 1
    if event == "resume":
        assert after.state == "published"  # it never opened: no time was kept
    check_chain(sales_db, lot.lot_id)


def test_the_engine_refuses_what_the_table_forbids():
    lot: dict[str, Command] = {
        "open": Open(), "hammer": End(), "end_unsold": End(), "suspend": Suspend(),
        "resume": Resume(), "withdraw": Withdraw(), "redeem": Withdraw("redeemed"),
    }  # fmt: skip
    now = datetime(2026, 11, 22, tzinfo=UTC)
    from tests.auction.test_engine_bidding import sale

    for state, event in FORBIDDEN:
        if event in lot:
            assert isinstance(apply(sale(state=state), lot[event], now)[2], BadEdge), (state, event)


def test_nothing_leaves_a_final_state_and_a_hammered_lot_never_opens_again():
    assert {edge.source for edge in TRANSITIONS}.isdisjoint({"closed", "withdrawn", "unsold", "defaulted"})
    assert all(edge.target not in {"open", "published"} for edge in TRANSITIONS if edge.source == "hammered")


def test_what_binds_others_needs_four_eyes():
    four = {edge.event for edge in TRANSITIONS if edge.four_eyes}
    assert four == {"publish", "suspend", "resume", "withdraw"}
    assert all(edge.four_eyes for edge in TRANSITIONS if edge.event in four)


@pytest.mark.parametrize("actor", ["drafter", "submitter", "editor"])
def test_whoever_worked_on_a_lot_may_not_publish_it(sales_db: Connection, actor: str) -> None:
    lot = actions.draft(sales_db, disposal_case(sales_db), terms(sales_db), "drafter")
    actions.edit(sales_db, lot.lot_id, {"title": "a better car"}, "editor")
    actions.submit(sales_db, lot.lot_id, "submitter")
    with pytest.raises(Forbidden) as refusal:
        actions.publish(sales_db, lot.lot_id, actor)
    assert refusal.value.code == "same_person"
    assert actions.publish(sales_db, lot.lot_id, "somebody else").state == "published"


def test_publishing_announces_the_sale_and_arms_its_start(sales_db: Connection) -> None:
    lot = published(sales_db)
    assert (lot.timer_kind, lot.next_timer_at) == ("start", lot.starts_at)
    assert check_chain(sales_db, lot.lot_id) == ["lot.published"]
    payload = events_after(sales_db, lot.lot_id)[0].payload
    assert (payload["start_minor"], payload["has_reserve"]) == (70_000_00, False)
    assert "reserve_minor" not in payload
    assert case_store.get_case(sales_db, lot.case_id).state == "selling"


@pytest.mark.parametrize(
    ("case", "change", "code"),
    [
        ({}, {"start_minor": 10_000_00}, "start_below_floor"),
        ({}, {"start_minor": 70_000_50}, "off_grid"),
        ({}, {"start_minor": True}, "bad_amount"),
        ({}, {"title": "  "}, "title_missing"),
        ({}, {"reserve_minor": 60_000_00}, "reserve_too_low"),
        ({}, {"starts_at": datetime(2026, 11, 22)}, "time_without_offset"),  # noqa: DTZ001 - that is the fault
        ({}, {"ends_at": datetime(2020, 1, 1, tzinfo=UTC)}, "end_before_start"),
        ({}, {"hard_end_at": datetime(2020, 1, 1, tzinfo=UTC)}, "hard_end_before_end"),
        ({"appraisal_yuan": None}, {}, "appraisal_missing"),
    ],
)
def test_terms_that_no_sale_could_have_are_refused(
    sales_db: Connection, case: Any, change: Any, code: str
) -> None:
    case_id = disposal_case(sales_db, **case)
    assert code_of(lambda: actions.draft(sales_db, case_id, terms(sales_db, **change), "drafter")) == code


@pytest.mark.parametrize(
    ("case", "code"),
    [
        ({"basis": None}, "basis_missing"),
        ({"loan_status": "paid"}, "loan_not_in_default"),
        ({"loan_status": "extended"}, "loan_not_in_default"),
        ({"loan_status": "disputed"}, "loan_not_in_default"),
        ({"valued_on": datetime(2020, 1, 1, tzinfo=UTC).date()}, "appraisal_stale"),
    ],
)
def test_a_case_that_may_not_sell_gets_no_further_than_a_draft(
    sales_db: Connection, case: Any, code: str
) -> None:
    lot = actions.draft(sales_db, disposal_case(sales_db, **case), terms(sales_db), "drafter")
    assert code_of(lambda: actions.submit(sales_db, lot.lot_id, "submitter")) == code
    sales_db.execute("UPDATE lot SET state = 'review' WHERE lot_id = %s", (lot.lot_id,))
    assert code_of(lambda: actions.publish(sales_db, lot.lot_id, "publisher")) == code


def test_a_sale_is_announced_in_time_and_lasts_long_enough(sales_db: Connection) -> None:
    case_id = disposal_case(sales_db, pack="cn-private")
    lot = actions.draft(sales_db, case_id, terms(sales_db), "drafter")
    actions.submit(sales_db, lot.lot_id, "submitter")
    assert code_of(lambda: actions.publish(sales_db, lot.lot_id, "p")) == "announcement_too_short"
    actions.send_back(sales_db, lot.lot_id, "p")
    later = database_now(sales_db) + timedelta(days=30)
    actions.edit(sales_db, lot.lot_id, {"starts_at": later, "ends_at": later + MINUTE}, "drafter")
    actions.submit(sales_db, lot.lot_id, "submitter")
    assert code_of(lambda: actions.publish(sales_db, lot.lot_id, "p")) == "duration_too_short"


def test_only_drafts_are_edited_and_only_from_the_version_seen(sales_db: Connection) -> None:
    lot = actions.draft(sales_db, disposal_case(sales_db), terms(sales_db), "drafter")
    edited = actions.edit(sales_db, lot.lot_id, {"start_minor": 80_000_00}, "editor", lot.version)
    assert edited.deposit_minor * lot.start_minor == lot.deposit_minor * edited.start_minor
    with pytest.raises(Stale):
        actions.edit(sales_db, lot.lot_id, {"title": "late"}, "editor", lot.version)
    with pytest.raises(Rejected):
        actions.edit(sales_db, lot.lot_id, {"state": "open"}, "editor")
    actions.submit(sales_db, lot.lot_id, "submitter")
    assert code_of(lambda: actions.edit(sales_db, lot.lot_id, {"title": "x"}, "editor")) == "not_draft"


def test_a_case_has_one_lot_at_a_time_and_a_new_one_after_it_failed(sales_db: Connection) -> None:
    lot = published(sales_db)
    assert (
        code_of(lambda: actions.draft(sales_db, lot.case_id, terms(sales_db), "drafter"))
        == "previous_round_open"
    )
    actions.withdraw(sales_db, lot.lot_id, "title_defect", "x")
    again = actions.draft(sales_db, lot.case_id, terms(sales_db), "drafter")
    assert (again.round_no, again.attempt) == (1, 2)


def test_a_loan_paid_before_the_start_suspends_the_lot_instead_of_opening_it(sales_db: Connection) -> None:
    lot = published(sales_db)
    sales_db.execute(
        "UPDATE lot SET starts_at = clock_timestamp() - interval '1 s' WHERE lot_id = %s", (lot.lot_id,)
    )
    sales_db.execute("UPDATE loan SET status = 'paid' WHERE vehicle_id = %s", (lot.vehicle_id,))
    held = actions.open_on_time(sales_db, lot.lot_id)
    assert (held.state, held.timer_kind) == ("suspended", None)
    assert events_after(sales_db, lot.lot_id, 1)[0].payload == {"reason_class": "loan_changed"}
    assert code_of(lambda: actions.resume(sales_db, lot.lot_id, "x")) == "loan_not_in_default"
    sales_db.execute("UPDATE loan SET status = 'overdue' WHERE vehicle_id = %s", (lot.vehicle_id,))
    assert actions.resume(sales_db, lot.lot_id, "x").state == "published"


def test_a_suspended_sale_gets_its_time_back_and_never_less(sales_db: Connection) -> None:
    sale = open_sale(sales_db, lasts=10 * MINUTE, min_resume_ms=30 * 60_000)
    stopped = actions.suspend(sales_db, sale.lot_id, "what nobody outside should read", "x")
    assert stopped.remaining_ms is not None
    assert 590_000 < stopped.remaining_ms <= 600_000
    assert events_after(sales_db, sale.lot_id)[0].payload == {"reason_class": "other"}
    going = actions.resume(sales_db, sale.lot_id, "x")
    assert going.ends_at >= database_now(sales_db) + timedelta(minutes=29)
    assert going.next_timer_at == going.ends_at + timedelta(milliseconds=going.drain_ms)
    accepted(sale.bid(sales_db, 0, 70_000))


def test_a_withdrawn_sale_gives_deposits_back_and_frees_the_case(sales_db: Connection) -> None:
    lot = published(sales_db)
    bidder_id = bidder(sales_db, "li.wei")
    sales_db.execute(
        "INSERT INTO registration (lot_id, bidder_id, code, state, terms_version) VALUES (%s, %s, 'B1', 'eligible', '1')",
        (lot.lot_id, bidder_id),
    )
    actions.withdraw(sales_db, lot.lot_id, "title_defect", "x")
    assert events_after(sales_db, lot.lot_id, 1)[0].payload == {"reason_class": "title_defect"}
    assert case_store.get_case(sales_db, lot.case_id).state == "open"
    state = sales_db.execute("SELECT state FROM registration WHERE lot_id = %s", (lot.lot_id,)).fetchone()
    assert state == ("released",)


def test_redemption_comes_too_late_after_the_hammer(sales_db: Connection) -> None:
    lot = lot_in(sales_db, "hammered")
    assert code_of(lambda: actions.redeem(sales_db, lot.lot_id, "x")) == "already_hammered"


def test_lots_are_listed_by_start_and_page_on(sales_db: Connection) -> None:
    made = [published(sales_db, title=f"car {n}") for n in range(3)]
    ids = sorted((lot.starts_at, lot.lot_id) for lot in made)
    first = list_lots(sales_db, states=["published"], limit=2)
    rest = list_lots(sales_db, states=["published"], after=(first[-1].starts_at, first[-1].lot_id))
    assert [(lot.starts_at, lot.lot_id) for lot in [*first, *rest]] == ids
    assert list_lots(sales_db, org_ids=["elsewhere"]) == []
    assert list_lots(sales_db, org_ids=["head"], states=["open"]) == []


def test_a_lot_that_is_not_there_is_not_found(sales_db: Connection) -> None:
    assert code_of(lambda: get_lot(sales_db, UUID(int=0))) == "lot_not_found"


def test_the_row_and_the_engine_agree_about_what_a_sale_is(sales_db: Connection) -> None:
    lot = published(sales_db)
    assert sale_of(lot).min_resume_ms == lot.min_resume_ms > 0
    assert lot.outage_guard_ms == 6 * lot.window_ms
