"""Booking. What is booked stays; a mistake is booked back (`reverse`), never edited."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import TYPE_CHECKING
from uuid import UUID

from auction.ledger import store
from auction.ledger.domain import NEVER_OVERDRAWN, Account, Posting
from core.errors import Conflict, NotFound, Rejected

if TYPE_CHECKING:
    from core.db.pool import Connection


def post(
    conn: Connection,
    kind: str,
    reference: str,
    postings: Sequence[Posting],
    *,
    case_id: UUID | None = None,
    lot_id: UUID | None = None,
    actor: str,
    reverses: int | None = None,
) -> int:
    """Book an entry once and return its id; the same reference again books nothing.

    Accounts that hold somebody's money are locked when it is taken out, and never overdrawn, however
    many do so at once.

    Raises:
        Rejected: postings that do not add up to zero in each currency, or none at all.
        Conflict: not enough money (``insufficient_funds``), or the reference stands for something else
            (``reference_differs``).
    """
    lines = _lines(postings)
    ids = store.account_ids(conn, lines)
    taken = [
        account
        for account, amount_minor in lines.items()
        if amount_minor > 0 and account.kind in NEVER_OVERDRAWN
    ]
    if taken:
        store.lock_accounts(conn, [ids[account] for account in taken])
    entry_id = store.insert_entry(conn, kind, reference, case_id, lot_id, actor, reverses)
    if entry_id is None:
        return _booked_before(conn, kind, reference, lines)
    balances = store.balances_minor(conn, [ids[account] for account in taken])
    for account in taken:
        has_minor, wanted_minor = -balances[ids[account]], lines[account]
        if wanted_minor > has_minor:
            raise Conflict(
                f"{account.kind}: expected at least {wanted_minor} {account.currency} minor, was {has_minor}",
                code="insufficient_funds", needed_minor=wanted_minor, available_minor=has_minor,
                currency=account.currency,
            )  # fmt: skip
    store.insert_postings(
        conn, entry_id, [(ids[account], amount_minor) for account, amount_minor in lines.items()]
    )
    return entry_id


def reverse(conn: Connection, entry_id: int, reason: str, actor: str) -> int:
    """Book an entry back, once, and return the id of the compensating entry.

    Raises:
        NotFound: no such entry.
        Conflict: the money is no longer where the entry put it, or the entry is itself a reversal.
    """
    entry = store.get_entry(conn, entry_id)
    if entry is None:
        raise NotFound(f"Expected a ledger entry, there is none with id {entry_id}", code="entry_not_found")
    if entry.reverses is not None:
        raise Conflict("Expected an entry that is no reversal, was one", code="reversal_of_reversal")
    if not reason.strip():
        raise Rejected("Reversal: expected a reason, was empty", code="reason_missing")
    return post(
        conn,
        f"reversal.{entry.kind}",
        f"reversal:{entry_id}",
        [Posting(account, -amount_minor) for account, amount_minor in store.lines_of(conn, entry_id)],
        case_id=entry.case_id,
        lot_id=entry.lot_id,
        actor=actor,
        reverses=entry_id,
    )


def free_minor(conn: Connection, account: Account) -> int:
    """Return how much of somebody's money is on an account (its credit balance)."""
    return -store.balance_minor(conn, account)


def lock_account(conn: Connection, account: Account) -> None:
    """Hold an account until the transaction ends; wallets before lots, always."""
    store.lock_accounts(conn, list(store.account_ids(conn, [account]).values()))


def _lines(postings: Sequence[Posting]) -> dict[Account, int]:
    lines: dict[Account, int] = defaultdict(int)
    sums: dict[str, int] = defaultdict(int)
    for posting in postings:
        amount: object = posting.amount_minor
        if type(amount) is not int:
            raise Rejected(f"Posting: expected whole minor units, was {amount!r}", code="bad_amount")
        lines[posting.account] += posting.amount_minor
        sums[posting.account.currency] += posting.amount_minor
    kept = {account: amount_minor for account, amount_minor in lines.items() if amount_minor}
    if not kept:
        raise Rejected("Entry: expected amounts, was nothing", code="empty_entry")
    if any(sums.values()):
        raise Rejected(
            "Entry: expected postings that add up to zero, was "
            + ", ".join(f"{total} {currency}" for currency, total in sums.items() if total),
            code="unbalanced_entry",
        )
    return kept


def _booked_before(conn: Connection, kind: str, reference: str, lines: dict[Account, int]) -> int:
    entry = store.entry_by_reference(conn, reference)
    assert entry is not None  # noqa: S101 - the insert found it, and entries never go
    if entry.kind != kind or dict(store.lines_of(conn, entry.entry_id)) != lines:
        raise Conflict(
            f"Reference {reference}: expected the amounts booked under it before, was different",
            code="reference_differs",
        )
    return entry.entry_id
