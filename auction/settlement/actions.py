"""What staff do with a settlement: record payments and costs, look at the division, close."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING
from uuid import UUID

from auction.bidders import store as bidders
from auction.cases import actions as cases
from auction.cases import store as case_store
from auction.cases.domain import CaseState
from auction.deposits.wallets import check_amount, check_reference
from auction.ledger import book
from auction.ledger.domain import AccountKind, Posting, bank, of_lot, refunds
from auction.lots import store as lots
from auction.settlement import booking, closing, release, store
from auction.settlement.advance import advance
from auction.settlement.claims import store as claims
from auction.settlement.claims.actions import (
    claim_of,
    divide_settlement,
    record_junior_claim,
    record_lender_claim,
)
from auction.settlement.costs import add_cost
from auction.settlement.domain import PaymentOutcome, Settlement, SettlementState
from auction.settlement.extension import ask_extension
from auction.settlement.waterfall import Waterfall
from core.domain.money import Money
from core.errors import Conflict, Rejected
from core.events.store import emit

if TYPE_CHECKING:
    from auction.domain import Lot
    from core.db.pool import Connection

__all__ = [
    "add_cost", "ask_extension", "close", "new_release_code", "open_minor", "pay_surplus",
    "record_junior_claim", "record_lender_claim", "record_payment", "waterfall",
]  # fmt: skip

BANK_DAY = timedelta(days=1)
"""Banks tell the day alone, at its midnight."""


def record_payment(
    conn: Connection, settlement_id: UUID, reference: str, amount: Money, received_at: datetime, actor: str
) -> PaymentOutcome:
    """Record what the bank received for a settlement, once per bank reference.

    Part of the price stays credited; the whole pays the lot and tells the release code, once; what is
    beyond is owed back.

    Raises:
        Rejected: another currency, an amount that is not positive, or a time to come or before the sale.
        Conflict: the buyer is in default (credit the wallet instead), or the reference is known otherwise.
    """
    reference = check_reference(reference)
    minor = check_amount(amount).amount_minor
    settlement, lot = _locked(conn, settlement_id)
    if amount.currency != settlement.currency:
        raise Rejected(
            f"Payment: expected {settlement.currency}, was {amount.currency}", code="currency_mismatch"
        )
    if received_at.tzinfo is None or received_at > lots.database_now(conn):
        raise Rejected(
            f"Payment: expected received_at in the past with a zone, was {received_at.isoformat()}",
            code="bad_received_at",
        )
    if lot.hammered_at is not None and received_at < lot.hammered_at - BANK_DAY:
        raise Rejected(
            f"Payment: expected received_at after the hammer, was {received_at.isoformat()}",
            code="bad_received_at",
        )
    known = store.payment_by_reference(conn, reference)
    if known is not None:
        if (known.settlement_id, known.amount_minor) != (settlement_id, minor):
            raise Conflict(f"Bank reference {reference}: known with other content", code="reference_differs")
        return _outcome(conn, settlement, None)
    if settlement.state in {SettlementState.DEFAULTED, SettlementState.REVERSED, SettlementState.CLOSED}:
        raise Conflict(
            f"Expected a settlement that takes payments, was {settlement.state}: credit the wallet instead",
            code=f"settlement_{settlement.state}",
        )
    needed_minor = min(minor, open_minor(conn, settlement))
    if not store.insert_payment(conn, settlement_id, reference, minor, received_at, actor):
        raise Conflict(
            f"Bank reference {reference}: recorded elsewhere at this moment", code="reference_differs"
        )
    buyer = bidders.get_registration(conn, settlement.registration_id).bidder_id
    book.post(
        conn,
        "settlement.payment",
        f"bank-in:{reference}",  # one transfer is booked once: as a payment or into a wallet
        [
            Posting(bank(amount.currency), minor),
            Posting(of_lot(AccountKind.BUYER_RECEIVABLE, lot.lot_id, amount.currency), -needed_minor),
            Posting(refunds(buyer, amount.currency), needed_minor - minor),
        ],
        case_id=lot.case_id,
        lot_id=lot.lot_id,
        actor=actor,
    )
    code = None
    if settlement.state == SettlementState.AWAITING_PAYMENT and open_minor(conn, settlement) == 0:
        settlement = booking.complete(conn, settlement, lot)
        code = release.new_code(conn, settlement_id)
    return _outcome(conn, settlement, code)


def open_minor(conn: Connection, settlement: Settlement) -> int:
    """Return what the buyer still has to pay."""
    if settlement.state != SettlementState.AWAITING_PAYMENT:
        return 0
    receivable = of_lot(AccountKind.BUYER_RECEIVABLE, settlement.lot_id, settlement.currency)
    return max(0, settlement.due_minor - book.free_minor(conn, receivable))


def new_release_code(conn: Connection, settlement_id: UUID, actor: str) -> str:
    """Return a new release code; the one before is void. For a lot paid by its deposit, or a lost code.

    Raises:
        Conflict: it is not paid, or the vehicle is handed over.
    """
    settlement, lot = _locked(conn, settlement_id)
    if settlement.state != SettlementState.PAID or lot.state not in {"paid", "transferred"}:
        raise Conflict(f"Expected a paid lot before its handover, was {lot.state}", code="no_release_now")
    return release.new_code(conn, settlement_id)


def waterfall(conn: Connection, settlement_id: UUID) -> Waterfall:
    """Return who gets how much: as booked when closed, else as it would be divided now."""
    settlement = store.get_settlement(conn, settlement_id)
    if settlement.waterfall is not None:
        return closing.from_json(settlement.waterfall)
    return divide_settlement(conn, settlement, lots.get_lot(conn, settlement.lot_id))


def close(conn: Connection, settlement_id: UUID, actor: str) -> Settlement:
    """Book the division, tell the loan what it got, end lot and case; emits `disposal.closed`.

    Raises:
        Conflict: the vehicle is not handed over, a line of costs waits, or nobody recorded a claim.
    """
    settlement, lot = _locked(conn, settlement_id)
    if settlement.state == SettlementState.CLOSED:
        return settlement
    if settlement.state != SettlementState.PAID or lot.state != "handed_over":
        raise Conflict(f"Expected a lot that is handed over, was {lot.state}", code="not_handed_over")
    case = case_store.get_case(conn, settlement.case_id, lock=True)
    if any(line.state == "waiting" for line in claims.costs_of(conn, case.case_id)):
        raise Conflict(
            "Expected every line of costs decided, one waits for a second person", code="cost_waiting"
        )
    if claim_of(conn, case) is None:
        raise Conflict("Expected a loan or a recorded claim of the lender, was neither", code="claim_missing")
    division = divide_settlement(conn, settlement, lot)
    closing.book_division(conn, settlement, case, division, actor)
    store.set_waterfall(conn, settlement_id, closing.as_json(division))
    store.set_state(conn, settlement_id, SettlementState.CLOSED)
    advance(conn, lot.lot_id, "close")
    cases.move(conn, case.case_id, CaseState.CLOSED)
    emit(
        conn,
        "disposal.closed",
        str(case.case_id),
        {
            "recovery_case_id": str(case.recovery_case_id) if case.recovery_case_id else None,
            "vehicle_id": case.vehicle_id,
        },
    )
    return store.get_settlement(conn, settlement_id)


def pay_surplus(conn: Connection, settlement_id: UUID, amount: Money, reference: str, actor: str) -> int:
    """Book that the bank paid surplus to the pledgor; see `closing.pay_surplus`.

    Raises:
        Conflict: the settlement is not closed, or so much is not owed.
    """
    settlement = store.get_settlement(conn, settlement_id)
    if settlement.state != SettlementState.CLOSED:
        raise Conflict(f"Expected a closed settlement, was {settlement.state}", code="not_closed")
    case = case_store.get_case(conn, settlement.case_id)
    return closing.pay_surplus(conn, settlement, case, amount, reference, actor)


def _locked(conn: Connection, settlement_id: UUID) -> tuple[Settlement, Lot]:
    lot = lots.get_lot(conn, store.get_settlement(conn, settlement_id).lot_id, lock=True)
    return store.get_settlement(conn, settlement_id, lock=True), lot


def _outcome(conn: Connection, settlement: Settlement, code: str | None) -> PaymentOutcome:
    paid_minor = sum(payment.amount_minor for payment in store.payments_of(conn, settlement.settlement_id))
    return PaymentOutcome(settlement, paid_minor, open_minor(conn, settlement), code)
