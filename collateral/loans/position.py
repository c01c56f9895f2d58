"""What a loan stands at: its newest snapshot, less the payments made after it. Pure.

Payments and snapshots arrive in any order and more than once; the result depends only on what is known,
not on when it came. A payment made at or before the snapshot is already inside the snapshot's balance.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import date, datetime

from collateral.domain import LoanStatus


@dataclass(frozen=True, slots=True)
class Standing:
    """The figures that payments change."""

    balance_minor: int
    days_past_due: int
    next_due_on: date | None
    status: str


@dataclass(frozen=True, slots=True)
class Received:
    """A payment, as far as the standing cares."""

    payment_id: str
    amount_minor: int
    paid_at: datetime
    days_past_due: int | None
    next_due_on: date | None


def standing_after(snapshot: Standing, covered: datetime, payments: Iterable[Received]) -> Standing:
    """Return where the loan stands after the payments made later than what the snapshot covers.

    The balance never falls below zero: what is paid beyond it is owed back, not a negative loan. A
    written-off or disputed loan keeps that status until a snapshot says otherwise, unless nothing is owed.
    """
    standing = snapshot
    later = (payment for payment in payments if payment.paid_at > covered)
    for payment in sorted(later, key=lambda payment: (payment.paid_at, payment.payment_id)):
        standing = _after_one(standing, payment)
    return standing


def excess_minor(snapshot: Standing, covered: datetime, payments: Iterable[Received]) -> int:
    """Return how much was paid beyond the balance since the snapshot."""
    paid_minor = sum(payment.amount_minor for payment in payments if payment.paid_at > covered)
    return max(0, paid_minor - snapshot.balance_minor)


def _after_one(standing: Standing, payment: Received) -> Standing:
    balance_minor = max(0, standing.balance_minor - payment.amount_minor)
    if balance_minor == 0:
        return Standing(0, 0, None, LoanStatus.PAID.value)
    days = standing.days_past_due if payment.days_past_due is None else payment.days_past_due
    status = standing.status
    if status in {LoanStatus.ACTIVE, LoanStatus.OVERDUE}:
        status = LoanStatus.OVERDUE.value if days > 0 else LoanStatus.ACTIVE.value
    return replace(
        standing,
        balance_minor=balance_minor,
        days_past_due=days,
        next_due_on=payment.next_due_on or standing.next_due_on,
        status=status,
    )
