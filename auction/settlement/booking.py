"""Opening a settlement with the hammer, and what happens when it is paid or the buyer does not pay.

The caller holds the lot's row; settlement rows are locked after it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from auction.bidders import exclusions
from auction.bidders import store as bidders
from auction.cases import actions as cases
from auction.cases import store as case_store
from auction.cases.domain import CaseState
from auction.deposits import actions as deposits
from auction.ledger import book
from auction.ledger.domain import AccountKind, Posting, of_lot, refunds
from auction.lots import store as lots
from auction.settlement import store
from auction.settlement.advance import advance
from auction.settlement.domain import Settlement, SettlementState
from auction.title import steps as title
from core.errors import PledgewatchError
from core.policy.pack import load_pack

if TYPE_CHECKING:
    from auction.domain import Lot
    from core.db.pool import Connection

SYSTEM = "system:auction"


def open_settlement(conn: Connection, lot: Lot) -> Settlement:
    """Write what the buyer owes, with the hammer; a deposit that covers the price pays it at once."""
    known = store.settlement_of_lot(conn, lot.lot_id)
    if known is not None:
        return known
    if lot.state != "hammered" or lot.leader_id is None or lot.price_minor is None or lot.hammered_at is None:
        raise PledgewatchError(f"Lot {lot.lot_id}: expected a hammered lot with a leader, was {lot.state}")
    pack = load_pack(lot.pack, lot.pack_version)
    hold = deposits.hold_of(conn, lot.leader_id)
    opened = store.insert_settlement(
        conn,
        lot_id=lot.lot_id,
        case_id=lot.case_id,
        registration_id=lot.leader_id,
        currency=lot.currency,
        price_minor=lot.price_minor,
        deposit_minor=hold.amount_minor if hold is not None and hold.state == "pending" else 0,
        pay_by=pack.pay_by_at(lot.hammered_at),
    )
    assert opened is not None  # noqa: S101 - looked above, and the caller holds the lot
    lots.arm_timer(conn, lot.lot_id, opened.pay_by, "pay_by")
    if opened.due_minor <= 0:
        return complete(conn, opened, lots.get_lot(conn, lot.lot_id))
    return opened


def complete(conn: Connection, settlement: Settlement, lot: Lot) -> Settlement:
    """Turn deposit and payments into proceeds: the price is paid, the way of the title begins."""
    applied_minor = 0
    hold = deposits.hold_of(conn, settlement.registration_id)
    if hold is not None and hold.state == "pending":
        applied_minor = deposits.apply_to_price(conn, hold, settlement.price_minor)
    rest_minor = settlement.price_minor - applied_minor
    if rest_minor:
        book.post(
            conn,
            "settlement.paid",
            f"settlement:{settlement.settlement_id}:paid",
            [
                Posting(of_lot(AccountKind.BUYER_RECEIVABLE, lot.lot_id, lot.currency), rest_minor),
                Posting(of_lot(AccountKind.LOT_PROCEEDS, lot.lot_id, lot.currency), -rest_minor),
            ],
            case_id=lot.case_id,
            lot_id=lot.lot_id,
            actor=SYSTEM,
        )
    store.set_state(conn, settlement.settlement_id, SettlementState.PAID)
    advance(conn, lot.lot_id, "pay")
    case_store.stamp(conn, settlement.case_id, "paid_at")
    title.begin(conn, settlement.settlement_id, load_pack(lot.pack, lot.pack_version))
    return store.get_settlement(conn, settlement.settlement_id)


def default(conn: Connection, settlement: Settlement, lot: Lot) -> Settlement:
    """The buyer did not pay: deposit to suspense, payments owed back, the case open again."""
    hold = deposits.hold_of(conn, settlement.registration_id)
    if hold is not None:
        deposits.forfeit(conn, hold, lot.case_id)
    registration = bidders.get_registration(conn, settlement.registration_id, lock=True)
    receivable = of_lot(AccountKind.BUYER_RECEIVABLE, lot.lot_id, lot.currency)
    paid_minor = book.free_minor(conn, receivable)
    if paid_minor:
        book.post(
            conn,
            "settlement.payments_returned",
            f"settlement:{settlement.settlement_id}:returned",
            [
                Posting(receivable, paid_minor),
                Posting(refunds(registration.bidder_id, lot.currency), -paid_minor),
            ],
            case_id=lot.case_id,
            lot_id=lot.lot_id,
            actor=SYSTEM,
        )
    bidders.set_state(conn, registration.registration_id, "forfeited")
    exclusions.exclude(
        conn, registration.bidder_id, "defaulted_buyer", SYSTEM, case_id=lot.case_id, note=f"lot {lot.number}"
    )
    store.set_state(conn, settlement.settlement_id, SettlementState.DEFAULTED)
    advance(conn, lot.lot_id, "default")
    cases.move(conn, lot.case_id, CaseState.OPEN)
    return store.get_settlement(conn, settlement.settlement_id)
