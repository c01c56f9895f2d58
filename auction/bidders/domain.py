"""The values of bidders and registrations."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

EXCLUSION_REASONS = (
    "staff", "relative", "appraiser", "transporter", "lender", "borrower", "defaulted_buyer", "sanctioned",
    "other",
)  # fmt: skip
CODE_LETTERS = "23456789ABCDEFGHJKLMNPQRSTUVWXYZ"
"""Without 0, O, 1 and I, which people confuse on the phone."""


@dataclass(frozen=True, slots=True)
class Bidder:
    """Somebody who may come to bid; one row per actor."""

    bidder_id: int
    actor: str
    display_name: str
    kyc_state: str
    kyc_reference: str | None
    kyc_by: str | None
    kyc_at: datetime | None
    created_at: datetime


@dataclass(frozen=True, slots=True)
class Exclusion:
    """Why somebody may not bid; without a case, in no sale."""

    exclusion_id: int
    bidder_id: int
    case_id: UUID | None
    reason: str
    note: str
    recorded_by: str
    recorded_at: datetime
    lifted_at: datetime | None


@dataclass(frozen=True, slots=True)
class Registration:
    """A bidder at a lot, known to the public by the code alone."""

    registration_id: UUID
    lot_id: UUID
    bidder_id: int
    code: str
    state: str
    terms_version: str
    terms_at: datetime
    barred_reason: str | None
    created_at: datetime
    updated_at: datetime
