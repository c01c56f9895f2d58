"""The values of disposal cases."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum
from uuid import UUID


class CaseState(StrEnum):
    """Where a case stands. A lot that fails, or a buyer who does not pay, brings it back to open."""

    OPEN = "open"
    SELLING = "selling"
    SOLD = "sold"
    REDEEMED = "redeemed"
    CLOSED = "closed"
    REVERSED = "reversed"


LIVE = frozenset({CaseState.OPEN, CaseState.SELLING, CaseState.SOLD})
EDGES: frozenset[tuple[CaseState, CaseState]] = frozenset(
    {
        (CaseState.OPEN, CaseState.SELLING),  # a lot is published
        (CaseState.SELLING, CaseState.OPEN),  # it found no buyer, or was withdrawn
        (CaseState.SELLING, CaseState.SOLD),  # hammer
        (CaseState.SOLD, CaseState.OPEN),  # the buyer did not pay
        (CaseState.SOLD, CaseState.CLOSED),  # money divided, vehicle handed over
        (CaseState.OPEN, CaseState.REDEEMED),
        (CaseState.SELLING, CaseState.REDEEMED),
    }
)


class BasisKind(StrEnum):
    """Why the lender may sell (architecture 4). Nothing is published without one."""

    AGREEMENT_AFTER_DEFAULT = "agreement_after_default"
    CONTRACTUAL_SELF_SALE = "contractual_self_sale"
    COURT_RULING = "court_ruling"
    JUDGMENT = "judgment"
    LEASE_RECOVERY = "lease_recovery"


@dataclass(frozen=True, slots=True)
class DisposalCase:
    """A row of disposal_case."""

    case_id: UUID
    number: int
    recovery_case_id: UUID | None
    vehicle_id: str
    loan_id: str | None
    org_id: str
    state: str
    pack: str
    pack_version: int
    basis_kind: str | None
    basis_reference: str | None
    basis_dated: date | None
    basis_by: str | None
    opened_by: str
    opened_at: datetime
    repossessed_at: datetime | None
    valued_at: datetime | None
    published_at: datetime | None
    hammer_at: datetime | None
    paid_at: datetime | None
    transferred_at: datetime | None
    closed_at: datetime | None
    updated_at: datetime
    version: int


@dataclass(frozen=True, slots=True)
class NewAppraisal:
    """What an appraisal says. ``method`` is ``model`` (with the estimate's id) or ``manual``."""

    value_minor: int
    currency: str
    method: str
    appraiser: str
    valued_on: date
    low_minor: int | None = None
    high_minor: int | None = None
    estimate_id: int | None = None
    reference: str = ""


@dataclass(frozen=True, slots=True)
class Appraisal:
    """A row of appraisal."""

    appraisal_id: UUID
    case_id: UUID
    value_minor: int
    low_minor: int | None
    high_minor: int | None
    currency: str
    method: str
    estimate_id: int | None
    appraiser: str
    reference: str
    valued_on: date
    recorded_by: str
    recorded_at: datetime


@dataclass(frozen=True, slots=True)
class LoanFacts:
    """What a disposal needs to know about the loan."""

    loan_id: str
    currency: str
    collateral_form: str
    status: str
    principal_minor: int
    balance_minor: int
    days_past_due: int
    snapshot_at: datetime
    borrower_id: str | None
    pledgor_id: str | None
