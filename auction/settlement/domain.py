"""The values of a settlement."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date, datetime
from enum import StrEnum
from typing import Any
from uuid import UUID


class SettlementState(StrEnum):
    """Where a settlement stands."""

    AWAITING_PAYMENT = "awaiting_payment"
    PAID = "paid"
    DEFAULTED = "defaulted"
    CLOSED = "closed"
    REVERSED = "reversed"


@dataclass(frozen=True, slots=True)
class Settlement:
    """A row of settlement. The release code's hash stays inside the store."""

    settlement_id: UUID
    lot_id: UUID
    case_id: UUID
    registration_id: UUID
    invoice_number: int
    currency: str
    price_minor: int
    fees_minor: int
    deposit_minor: int
    due_minor: int
    pay_by: datetime
    state: str
    waterfall: dict[str, Any] | None = field(hash=False)
    created_at: datetime
    paid_at: datetime | None
    handed_over_at: datetime | None
    handed_over_by: str | None
    odometer_km: int | None
    closed_at: datetime | None
    version: int


@dataclass(frozen=True, slots=True)
class SettlementPayment:
    """A payment of the buyer, by the bank's reference."""

    payment_id: UUID
    settlement_id: UUID
    reference: str
    amount_minor: int
    received_at: datetime
    recorded_by: str
    recorded_at: datetime


@dataclass(frozen=True, slots=True)
class PaymentOutcome:
    """A settlement after a payment; the release code is told here and never again."""

    settlement: Settlement
    paid_minor: int
    open_minor: int
    release_code: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class Cost:
    """A line of costs with its receipt; only accepted ones count."""

    cost_id: UUID
    case_id: UUID
    kind: str
    amount_minor: int
    currency: str
    receipt: str
    state: str
    recorded_by: str
    recorded_at: datetime


@dataclass(frozen=True, slots=True)
class LenderClaim:
    """What the lender claims; ``received_minor`` is what the borrower really got."""

    received_minor: int
    principal_minor: int
    interest_minor: int
    accrues_from: date
    currency: str
    reference: str


@dataclass(frozen=True, slots=True)
class JuniorClaim:
    """A later-ranked claim on the vehicle, with its rank."""

    rank: int
    claimant: str
    amount_minor: int
    currency: str
    reference: str
