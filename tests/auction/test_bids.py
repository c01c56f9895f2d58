"""A bid through the database: what the bidder is told, what everybody sees, what nobody sees."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from datetime import timedelta
from uuid import UUID

import pytest

from auction.bids.store import bids_of_bidder, opened_bids
from auction.log.store import changed_lots, events_after
from auction.lots.store import database_now
from core.db.pool import Connection
from core.errors import Rejected, Unavailable
from tests.auction.sales import accepted, open_sale, refused


def test_the_first_maximum_leads_at_the_start_price(sales_db: Connection) -> None:
    sale = open_sale(sales_db)
    answer = accepted(sale.bid(sales_db, 0, 80_000))
    assert (answer.status, answer.price_minor, answer.min_next_minor) == ("leading", 60_000_00, 60_500_00)
    assert answer.own_max_minor == 80_000_00
    lot = sale.lot(sales_db)
    assert (lot.seq, lot.bid_count, lot.price_minor, lot.leader_max_minor) == (1, 1, 60_000_00, 80_000_00)


def test_a_lower_maximum_is_outbid_at_once_and_raises_the_price(sales_db: Connection) -> None:
    sale = open_sale(sales_db)
    sale.bid(sales_db, 0, 80_000)
    answer = accepted(sale.bid(sales_db, 1, 70_000))
    assert (answer.status, answer.price_minor) == ("outbid", 70_500_00)
    event = events_after(sales_db, sale.lot_id, 1)[0]
    assert (event.payload["code"], event.payload["leader_code"], event.payload["auto"]) == ("B1", "B0", True)


def test_a_refused_bid_says_why_and_writes_nothing(sales_db: Connection) -> None:
    sale = open_sale(sales_db)
    sale.bid(sales_db, 0, 80_000)
    for yuan, others, code, status in (
        (60_100, {}, "bid_too_low", 409),
        (60_550, {}, "off_grid", 422),
        (300_100, {}, "confirm_high_required", 422),
        (70_000, {"expected_price_minor": 1}, "price_changed", 412),
    ):
        answer = refused(sale.bid(sales_db, 1, yuan, **others))
        assert (answer.code, answer.status) == (code, status)
        assert answer.facts["min_next_minor"] == 60_500_00
        assert answer.facts["lot_seq"] == 1
    assert refused(sale.bid(sales_db, 0, 80_000)).code == "self_raise_too_low"
    lot = sale.lot(sales_db)
    assert (lot.seq, lot.bid_count, lot.extension_count) == (1, 1, 0)
    assert len(events_after(sales_db, sale.lot_id)) == 1


def test_only_an_eligible_registration_bids(sales_db: Connection) -> None:
    sale = open_sale(sales_db)
    sales_db.execute("UPDATE registration SET state = 'barred' WHERE bidder_id = %s", (sale.bidders[0],))
    assert refused(sale.bid(sales_db, 0, 70_000)).status == 403
    sales_db.execute(
        "INSERT INTO excluded_party (bidder_id, case_id, reason, recorded_by) VALUES (%s, %s, 'relative', 'x')",
        (sale.bidders[1], sale.case_id),
    )
    assert refused(sale.bid(sales_db, 1, 70_000)).code == "not_eligible"
    accepted(sale.bid(sales_db, 2, 70_000))


def test_a_bid_that_came_before_the_end_counts_and_one_after_it_does_not(sales_db: Connection) -> None:
    now = database_now(sales_db)
    sale = open_sale(sales_db, ends_at=now, drain_ms=60_000, window_ms=0)
    early = accepted(sale.bid(sales_db, 0, 70_000, arrived_at=now - timedelta(milliseconds=1)))
    assert early.arrived_at == now - timedelta(milliseconds=1)
    late = refused(sale.bid(sales_db, 1, 90_000, arrived_at=now))
    assert (late.code, late.status) == ("lot_closing", 409)
    sales_db.execute("UPDATE lot SET drain_ms = 1 WHERE lot_id = %s", (sale.lot_id,))
    assert refused(sale.bid(sales_db, 1, 90_000)).code == "lot_closed"


def test_an_arrival_in_the_future_is_now(sales_db: Connection) -> None:
    sale = open_sale(sales_db)
    answer = accepted(sale.bid(sales_db, 0, 70_000, arrived_at=database_now(sales_db) + timedelta(hours=1)))
    assert answer.arrived_at <= answer.decided_at


def test_a_call_that_waited_longer_than_the_drain_is_told_so(sales_db: Connection) -> None:
    sale = open_sale(sales_db, drain_ms=1_000)
    with pytest.raises(Unavailable) as told:
        sale.bid(sales_db, 0, 70_000, arrived_at=database_now(sales_db) - timedelta(seconds=2))
    assert (told.value.code, told.value.status) == ("busy", 503)
    assert sale.lot(sales_db).seq == 0


def test_a_bid_in_time_that_is_judged_after_the_hammer_is_never_called_late(sales_db: Connection) -> None:
    now = database_now(sales_db)
    sale = open_sale(sales_db, state="unsold", ends_at=now, drain_ms=60_000)
    with pytest.raises(Unavailable):
        sale.bid(sales_db, 0, 70_000, arrived_at=now - timedelta(milliseconds=5))
    assert refused(sale.bid(sales_db, 0, 70_000)).code == "lot_closed"


@pytest.mark.parametrize(
    ("state", "code"),
    [("draft", "lot_not_open"), ("review", "lot_not_open"), ("published", "not_started"),
     ("suspended", "lot_not_open"), ("withdrawn", "lot_closed"), ("closed", "lot_closed")],
)  # fmt: skip
def test_no_bid_counts_outside_the_open_state(sales_db: Connection, state: str, code: str) -> None:
    sale = open_sale(sales_db, state=state, ends_at=database_now(sales_db) - timedelta(seconds=50))
    assert refused(sale.bid(sales_db, 0, 70_000)).code == code


def test_a_lot_that_does_not_exist_is_not_found(sales_db: Connection) -> None:
    elsewhere = replace(open_sale(sales_db), lot_id=UUID(int=7))
    answer = refused(elsewhere.bid(sales_db, 0, 70_000))
    assert (answer.code, answer.status) == ("lot_not_found", 404)


@pytest.mark.parametrize("amount", [0, -1, 10**15 + 1, True, "70000", 70_000.5])
def test_an_amount_that_is_no_whole_number_is_rejected(sales_db: Connection, amount: object) -> None:
    sale = open_sale(sales_db)
    from auction.bids.place import place_bid

    with pytest.raises(Rejected):
        place_bid(sales_db, lot_id=sale.lot_id, bidder_id=sale.bidders[0], max_minor=amount)  # type: ignore[arg-type]


def test_the_end_moves_on_after_a_late_bid_and_the_timer_with_it(sales_db: Connection) -> None:
    now = database_now(sales_db)
    sale = open_sale(sales_db, ends_at=now + timedelta(seconds=10), window_ms=30_000, extension_ms=30_000)
    answer = accepted(sale.bid(sales_db, 0, 70_000))
    assert answer.extended
    assert answer.ends_at == answer.arrived_at + timedelta(seconds=30)
    lot = sale.lot(sales_db)
    assert (lot.extension_count, lot.seq) == (1, 2)
    assert lot.next_timer_at == answer.ends_at + timedelta(milliseconds=lot.drain_ms)
    assert [event.kind for event in events_after(sales_db, sale.lot_id)] == ["bid.accepted", "lot.extended"]


def test_maxima_are_nowhere_but_in_the_row_and_the_bidders_own_list(sales_db: Connection) -> None:
    sale = open_sale(sales_db)
    sale.bid(sales_db, 0, 81_300)
    sale.bid(sales_db, 0, 91_700)  # raising one's own is public, by how much is not
    answer = refused(sale.bid(sales_db, 1, 60_100))
    events = events_after(sales_db, sale.lot_id)
    assert [event.kind for event in events] == ["bid.accepted", "proxy.raised"]
    shown = "".join(event.body.decode() for event in events) + repr(answer) + repr(sale.lot(sales_db))
    for secret in ("8130000", "9170000"):
        assert secret not in shown
    assert [bid.max_minor for bid in bids_of_bidder(sales_db, sale.bidders[0])] == [91_700_00, 81_300_00]
    assert opened_bids(sales_db, sale.lot_id) == []


def test_commitments_open_to_the_maxima_after_the_hammer(sales_db: Connection) -> None:
    sale = open_sale(sales_db)
    sale.bid(sales_db, 0, 80_000)
    sale.bid(sales_db, 1, 70_000)
    sales_db.execute("UPDATE lot SET state = 'hammered' WHERE lot_id = %s", (sale.lot_id,))
    opened = opened_bids(sales_db, sale.lot_id)
    said = [json.loads(event.body)["payload"]["commitment"] for event in events_after(sales_db, sale.lot_id)]
    for bid, commitment in zip(opened, said, strict=True):
        assert hashlib.sha256(bid.salt + str(bid.max_minor).encode()).hexdigest() == commitment
    assert len({bid.salt for bid in opened}) == 2


def test_streams_ask_only_for_lots_that_changed(sales_db: Connection) -> None:
    quiet, busy = open_sale(sales_db), open_sale(sales_db)
    accepted(busy.bid(sales_db, 0, 70_000))
    assert changed_lots(sales_db, {quiet.lot_id: 0, busy.lot_id: 0}) == {busy.lot_id: 1}
    assert changed_lots(sales_db, {busy.lot_id: 1}) == {}
