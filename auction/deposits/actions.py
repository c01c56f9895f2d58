"""Holding, releasing, forfeiting and applying deposits.

Lock order: the wallet before the lot, the lot before what is held for it. Paying into an account locks
nothing, so a hammer that frees a hundred deposits waits for no wallet.
"""

from __future__ import annotations

from typing import TYPE_CHECKING
from uuid import UUID

from auction.bidders import store as bidders
from auction.bidders.eligibility import refresh_eligibility
from auction.deposits import store
from auction.deposits.store import Hold
from auction.deposits.wallets import balance, credit_wallet, pay_refund, withdraw
from auction.ledger import book
from auction.ledger.domain import AccountKind, Posting, of_case, of_lot, refunds, wallet
from auction.lots import store as lots
from core.errors import Conflict

if TYPE_CHECKING:
    from core.db.pool import Connection

__all__ = [
    "Hold", "apply_to_price", "balance", "credit_wallet", "forfeit", "hold", "hold_of", "pay_refund",
    "release", "release_all_of_lot", "withdraw",
]  # fmt: skip

HOLDABLE = frozenset({"published", "open", "suspended"})
SYSTEM = "system:auction"


def hold(conn: Connection, registration_id: UUID, actor: str) -> Hold:
    """Bind the lot's deposit from the bidder's wallet; again returns the same hold.

    Raises:
        Conflict: the free money does not suffice (``insufficient_funds``), the lot is decided, or the
            registration is barred or over.
    """
    registration = bidders.get_registration(conn, registration_id)
    known = store.hold_of(conn, registration_id)
    if known is not None and known.state == "pending":
        refresh_eligibility(conn, registration_id)
        return known
    currency = lots.get_lot(conn, registration.lot_id).currency
    purse = wallet(registration.bidder_id, currency)
    book.lock_account(conn, purse)
    state, deposit_minor, currency = store.share_lot(conn, registration.lot_id)
    if state not in HOLDABLE:
        raise Conflict(f"Expected a lot that takes bidders, was {state}", code="lot_decided")
    registration = bidders.get_registration(conn, registration_id, lock=True)
    if registration.state not in {"applied", "eligible"}:
        raise Conflict(
            f"Expected a registration that may bid, was {registration.state}", code="registration_over"
        )
    placed = store.insert_hold(
        conn, registration_id, registration.lot_id, registration.bidder_id, deposit_minor, currency
    )
    if placed is None:
        known = store.hold_of(conn, registration_id)
        assert known is not None  # noqa: S101 - the insert found it, and holds never go
        if known.state != "pending":
            raise Conflict(
                f"Expected a registration without a hold, its hold was {known.state}", code="hold_ended"
            )
        return known
    if deposit_minor:
        book.post(
            conn,
            "deposit.held",
            f"hold:{placed.hold_id}:placed",
            [
                Posting(purse, deposit_minor),
                Posting(of_lot(AccountKind.LOT_DEPOSIT_HELD, placed.lot_id, currency), -deposit_minor),
            ],
            lot_id=placed.lot_id,
            actor=actor,
        )
    refresh_eligibility(conn, registration_id)
    return placed


def hold_of(conn: Connection, registration_id: UUID) -> Hold | None:
    """Return the hold of a registration."""
    return store.hold_of(conn, registration_id)


def release(conn: Connection, held: Hold, actor: str = SYSTEM) -> bool:
    """Give a deposit back to the wallet; false when the hold has ended. The caller holds the lot."""
    if not store.end_hold(conn, held.hold_id, "voided"):
        return False
    if held.amount_minor:
        book.post(
            conn,
            "deposit.released",
            f"hold:{held.hold_id}:voided",
            [_out_of_held(held), Posting(wallet(held.bidder_id, held.currency), -held.amount_minor)],
            lot_id=held.lot_id,
            actor=actor,
        )
    return True


def release_all_of_lot(
    conn: Connection, lot_id: UUID, except_registration: UUID | None = None, actor: str = SYSTEM
) -> int:
    """Give every deposit of a lot back, except one registration's; returns how many."""
    return sum(
        release(conn, held, actor)
        for held in store.pending_of_lot(conn, lot_id)
        if held.registration_id != except_registration
    )


def forfeit(conn: Connection, held: Hold, case_id: UUID, actor: str = SYSTEM) -> bool:
    """Take the deposit of a buyer who did not pay; it waits in suspense for the case to be settled."""
    if not store.end_hold(conn, held.hold_id, "forfeited"):
        return False
    if held.amount_minor:
        book.post(
            conn,
            "deposit.forfeited",
            f"hold:{held.hold_id}:forfeited",
            [
                _out_of_held(held),
                Posting(of_case(AccountKind.FORFEIT_SUSPENSE, case_id, held.currency), -held.amount_minor),
            ],
            case_id=case_id,
            lot_id=held.lot_id,
            actor=actor,
        )
    return True


def apply_to_price(conn: Connection, held: Hold, price_minor: int, actor: str = SYSTEM) -> int:
    """Turn a deposit into proceeds; beyond the price it is owed back. Returns how much was applied."""
    applied_minor = min(held.amount_minor, price_minor)
    if not store.end_hold(conn, held.hold_id, "posted"):
        raise Conflict(f"Expected a pending deposit, it had ended: {held.hold_id}", code="hold_ended")
    if held.amount_minor:
        book.post(
            conn,
            "deposit.applied",
            f"hold:{held.hold_id}:posted",
            [
                _out_of_held(held),
                Posting(of_lot(AccountKind.LOT_PROCEEDS, held.lot_id, held.currency), -applied_minor),
                Posting(refunds(held.bidder_id, held.currency), applied_minor - held.amount_minor),
            ],
            lot_id=held.lot_id,
            actor=actor,
        )
    return applied_minor


def _out_of_held(held: Hold) -> Posting:
    return Posting(of_lot(AccountKind.LOT_DEPOSIT_HELD, held.lot_id, held.currency), held.amount_minor)
