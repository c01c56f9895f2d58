"""Loans are kept up to date: snapshots from the lender's books, payments as they come in.

Both are idempotent and may arrive in any order (position.py). Whatever changes balance, days past due or
status is told as the domain event `loan.changed`, in the same transaction.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import TYPE_CHECKING

from collateral.domain import CollateralForm, LoanSnapshot, LoanStatus, Payment, UpsertCounts
from collateral.loans import store
from collateral.loans.position import Received, Standing, excess_minor, standing_after
from collateral.loans.store import LoanRow
from core.clock import wall_now
from core.domain.money import check_currency
from core.errors import Conflict, NotFound, Rejected
from core.events.store import emit

if TYPE_CHECKING:
    from core.db.pool import Connection

LARGEST_MINOR = 10**16
"""A hundred trillion in a currency of two decimals: beyond it an amount is a mistake, not a loan."""

SNAPSHOT_AHEAD_MAX = timedelta(days=366)
"""Books may be dated ahead of a server whose clock is behind; by more than a year is a mistake."""


@dataclass(frozen=True, slots=True)
class PaymentOutcome:
    """The loan after a payment.

    Not ``recorded``: the same payment was known. ``excess_minor`` was paid beyond the debt and is owed back.
    """

    loan: LoanRow
    recorded: bool
    excess_minor: int


def upsert_loans(conn: Connection, snapshots: Sequence[LoanSnapshot]) -> UpsertCounts:
    """Write snapshots; one older than what is stored is counted as stale and left alone.

    Raises:
        Rejected: a loan named twice, an amount or word out of range, or a new currency for a loan.
    """
    for snapshot in snapshots:
        check_snapshot(snapshot)
    ids = [snapshot.loan_id for snapshot in snapshots]
    if len(set(ids)) != len(ids):
        raise Rejected("Loans: expected each loan once in a batch", code="duplicate_loan")
    fresh = {row.loan_id: row for row in map(_first_row, snapshots)}
    stored = store.lock_loans(conn, ids)
    new = [row for loan_id, row in fresh.items() if loan_id not in stored]
    inserted = set(store.insert_loans(conn, new)) if new else set()
    raced = [row.loan_id for row in new if row.loan_id not in inserted]
    if raced:
        stored |= store.lock_loans(conn, raced)
    _tell_all(conn, [(None, fresh[loan_id]) for loan_id in ids if loan_id in inserted])
    changed, stale = _apply(conn, [s for s in snapshots if s.loan_id not in inserted], stored)
    return UpsertCounts(len(inserted), changed, len(ids) - len(inserted) - changed - stale, stale)


def record_payment(conn: Connection, payment: Payment) -> PaymentOutcome:
    """Record a payment once, and lower the balance when the newest snapshot does not hold it yet.

    Raises:
        NotFound: no such loan.
        Rejected: an amount that is not positive, or another currency than the loan's.
        Conflict: the payment id is known with other content.
    """
    if not 0 < payment.amount_minor <= LARGEST_MINOR:
        raise Rejected(
            f"Payment {payment.payment_id}: expected a positive amount, was {payment.amount_minor}",
            code="bad_amount",
        )
    if payment.days_past_due is not None and payment.days_past_due < 0:
        raise Rejected(f"Payment {payment.payment_id}: expected days_past_due >= 0", code="bad_days_past_due")
    loan = store.lock_loans(conn, [payment.loan_id]).get(payment.loan_id)
    if loan is None:
        raise NotFound(f"Loan {payment.loan_id}: not registered", code="loan_not_found")
    if payment.currency != loan.currency:
        raise Rejected(
            f"Payment {payment.payment_id}: expected the loan's currency {loan.currency}, "
            f"was {payment.currency}",
            code="currency_mismatch",
        )
    recorded = store.insert_payment(conn, payment)
    if not recorded and store.get_payment(conn, payment.payment_id) != payment:
        raise Conflict(f"Payment {payment.payment_id}: known with other content", code="payment_differs")
    payments = store.payments_of(conn, [loan.loan_id])[loan.loan_id]
    after = _stands(loan, payments)
    if after != loan:
        store.update_figures(conn, [after])
        _tell(conn, after, loan)
    return PaymentOutcome(after, recorded, excess_minor(loan.snapshot, loan.covered, payments))


def check_snapshot(snapshot: LoanSnapshot) -> None:
    """Refuse a snapshot that cannot be a loan.

    Raises:
        Rejected: with the field and what was expected.
    """
    who = f"Loan {snapshot.loan_id}"
    check_currency(snapshot.currency)
    for name in ("balance_minor", "principal_minor"):
        amount_minor = getattr(snapshot, name)
        if amount_minor is not None and not 0 <= amount_minor <= LARGEST_MINOR:
            raise Rejected(
                f"{who}: expected {name} from 0 to {LARGEST_MINOR}, was {amount_minor}", code="bad_amount"
            )
    if snapshot.days_past_due is not None and not 0 <= snapshot.days_past_due <= 36_500:
        raise Rejected(
            f"{who}: expected days_past_due from 0 to 36500, was {snapshot.days_past_due}",
            code="bad_days_past_due",
        )
    if snapshot.snapshot_at.tzinfo is None:
        raise Rejected(f"{who}: expected snapshot_at with a time zone", code="bad_snapshot_at")
    if snapshot.snapshot_at > wall_now() + SNAPSHOT_AHEAD_MAX:
        # A snapshot of 2080 would make every later, true one stale: the loan could never fall due again.
        raise Rejected(
            f"{who}: expected snapshot_at at most a year ahead, was {snapshot.snapshot_at.isoformat()}",
            code="bad_snapshot_at",
        )
    for name, words in (("status", LoanStatus), ("collateral_form", CollateralForm)):
        word = getattr(snapshot, name)
        if word is not None and word not in set(words):
            raise Rejected(f"{who}: expected {name} of {', '.join(words)}, was {word!r}", code=f"bad_{name}")


def _apply(
    conn: Connection, snapshots: Sequence[LoanSnapshot], stored: dict[str, LoanRow]
) -> tuple[int, int]:
    """Update stored loans; returns how many changed and how many snapshots were stale."""
    payments = store.payments_of(conn, [snapshot.loan_id for snapshot in snapshots]) if snapshots else {}
    changes: list[tuple[LoanRow, LoanRow]] = []
    stale = 0
    for snapshot in snapshots:
        before = stored[snapshot.loan_id]
        if snapshot.currency != before.currency:
            raise Rejected(
                f"Loan {before.loan_id}: expected its currency {before.currency}, was {snapshot.currency}",
                code="currency_mismatch",
            )
        if snapshot.snapshot_at < before.snapshot_at:
            stale += 1
            continue
        after = _stands(_merged(before, snapshot), payments.get(before.loan_id, []))
        if after != before:
            changes.append((before, after))
    if changes:
        store.update_figures(conn, [after for _, after in changes])
        moved = [
            a for b, a in changes if (b.vehicle_id, b.collateral_form) != (a.vehicle_id, a.collateral_form)
        ]
        if moved:
            store.update_facts(conn, moved)
    _tell_all(
        conn,
        [(b, a) for b, a in changes if b.standing != a.standing or b.vehicle_id != a.vehicle_id],
    )
    return len(changes), stale


def _first_row(snapshot: LoanSnapshot) -> LoanRow:
    days = snapshot.days_past_due or 0
    status = snapshot.status or _status_of(snapshot.balance_minor, days)
    return LoanRow(
        loan_id=snapshot.loan_id,
        vehicle_id=snapshot.vehicle_id,
        borrower_id=snapshot.borrower_id,
        pledgor_id=snapshot.pledgor_id,
        collateral_form=snapshot.collateral_form or CollateralForm.MORTGAGE.value,
        currency=snapshot.currency,
        principal_minor=snapshot.balance_minor
        if snapshot.principal_minor is None
        else snapshot.principal_minor,
        balance_minor=snapshot.balance_minor,
        days_past_due=days,
        next_due_on=snapshot.next_due_on,
        status=status,
        snapshot_at=snapshot.snapshot_at,
        snapshot_balance_minor=snapshot.balance_minor,
        snapshot_days_past_due=days,
        snapshot_next_due_on=snapshot.next_due_on,
        snapshot_status=status,
        snapshot_covers_until=snapshot.covers_until,
    )


def _merged(before: LoanRow, snapshot: LoanSnapshot) -> LoanRow:
    days = before.snapshot_days_past_due if snapshot.days_past_due is None else snapshot.days_past_due
    status = snapshot.status or before.snapshot_status
    if snapshot.status is None and status in {LoanStatus.ACTIVE, LoanStatus.OVERDUE, LoanStatus.PAID}:
        status = _status_of(snapshot.balance_minor, days)
    return replace(
        before,
        vehicle_id=snapshot.vehicle_id,
        borrower_id=snapshot.borrower_id or before.borrower_id,
        pledgor_id=snapshot.pledgor_id or before.pledgor_id,
        collateral_form=snapshot.collateral_form or before.collateral_form,
        principal_minor=before.principal_minor
        if snapshot.principal_minor is None
        else snapshot.principal_minor,
        snapshot_at=snapshot.snapshot_at,
        snapshot_balance_minor=snapshot.balance_minor,
        snapshot_days_past_due=days,
        snapshot_next_due_on=snapshot.next_due_on or before.snapshot_next_due_on,
        snapshot_status=status,
        snapshot_covers_until=snapshot.covers_until,
    )


def _status_of(balance_minor: int, days_past_due: int) -> str:
    if balance_minor == 0:
        return LoanStatus.PAID.value
    return LoanStatus.OVERDUE.value if days_past_due > 0 else LoanStatus.ACTIVE.value


def _stands(row: LoanRow, payments: Sequence[Received]) -> LoanRow:
    now: Standing = standing_after(row.snapshot, row.covered, payments)
    return replace(
        row,
        balance_minor=now.balance_minor,
        days_past_due=now.days_past_due,
        next_due_on=now.next_due_on,
        status=now.status,
    )


def _tell_all(conn: Connection, changes: Sequence[tuple[LoanRow | None, LoanRow]]) -> None:
    """Tell many changes without waiting for the server between them: a portfolio is tens of thousands."""
    if not changes:
        return
    with conn.pipeline():
        for before, after in changes:
            _tell(conn, after, before)


def _tell(conn: Connection, after: LoanRow, before: LoanRow | None) -> None:
    emit(
        conn,
        "loan.changed",
        after.loan_id,
        {
            "loan_id": after.loan_id,
            "vehicle_id": after.vehicle_id,
            "before": _told(before) if before else None,
            "after": _told(after),
        },
    )


def _told(row: LoanRow) -> dict[str, object]:
    return {
        "vehicle_id": row.vehicle_id,
        "status": row.status,
        "days_past_due": row.days_past_due,
        "balance_minor": row.balance_minor,
        "currency": row.currency,
    }
