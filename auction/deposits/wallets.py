"""Money in and out of wallets. The bank moves it; we book what the bank's reference says it did."""

from __future__ import annotations

from typing import TYPE_CHECKING

from auction.bidders import store as bidders
from auction.ledger import book
from auction.ledger.domain import Posting, bank, refunds, wallet
from core.domain.money import Money
from core.errors import Rejected

if TYPE_CHECKING:
    from auction.ledger.domain import Account
    from core.db.pool import Connection

LARGEST_MINOR = 10**14
LONGEST_REFERENCE = 200


def check_reference(reference: str) -> str:
    """Return a bank reference without blanks around it.

    Raises:
        Rejected: it is empty or too long.
    """
    text = reference.strip()
    if not text or len(text) > LONGEST_REFERENCE:
        raise Rejected(
            f"Bank reference: expected 1 to {LONGEST_REFERENCE} characters, was {len(text)}",
            code="bad_reference",
        )
    return text


def check_amount(amount: Money) -> Money:
    """Return an amount that can be paid.

    Raises:
        Rejected: it is not positive, or beyond all measure.
    """
    if not 0 < amount.amount_minor <= LARGEST_MINOR:
        raise Rejected(
            f"Amount: expected 1 to {LARGEST_MINOR} minor units, was {amount.amount_minor}", code="bad_amount"
        )
    return amount


def credit_wallet(conn: Connection, bidder_id: int, amount: Money, reference: str, actor: str) -> int:
    """Book that the bank received money for a bidder, once per bank reference; returns the entry.

    Raises:
        NotFound: no such bidder.
        Conflict: the reference stands for another amount or bidder.
    """
    bidders.get_bidder(conn, bidder_id)
    minor = check_amount(amount).amount_minor
    return book.post(
        conn,
        "wallet.credited",
        f"bank-in:{check_reference(reference)}",
        [Posting(bank(amount.currency), minor), Posting(wallet(bidder_id, amount.currency), -minor)],
        actor=actor,
    )


def withdraw(conn: Connection, bidder_id: int, amount: Money, reference: str, actor: str) -> int:
    """Book that free money went back to the bidder's bank account.

    Raises:
        Conflict: the free money does not suffice (``insufficient_funds``).
    """
    return _pay_out(conn, "wallet.withdrawn", wallet(bidder_id, amount.currency), amount, reference, actor)


def pay_refund(conn: Connection, bidder_id: int, amount: Money, reference: str, actor: str) -> int:
    """Book that what was paid in excess went back to the bidder's bank account.

    Raises:
        Conflict: less is owed back.
    """
    return _pay_out(conn, "refund.paid", refunds(bidder_id, amount.currency), amount, reference, actor)


def balance(conn: Connection, bidder_id: int, currency: str) -> Money:
    """Return a bidder's free money."""
    return Money(book.free_minor(conn, wallet(bidder_id, currency)), currency)


def _pay_out(conn: Connection, kind: str, account: Account, amount: Money, reference: str, actor: str) -> int:
    minor = check_amount(amount).amount_minor
    return book.post(
        conn,
        kind,
        f"bank-out:{check_reference(reference)}",
        [Posting(account, minor), Posting(bank(amount.currency), -minor)],
        actor=actor,
    )
