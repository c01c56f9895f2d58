"""The words of the registry. Their Chinese spellings in imported files are data: imports/words.toml."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum


class Role(StrEnum):
    """What a person or program may do; api/roles.py says which route needs which."""

    ADMIN = "admin"
    RISK_ANALYST = "risk_analyst"
    RECOVERY = "recovery"
    RECOVERY_PARTNER = "recovery_partner"
    DISPOSAL = "disposal"
    AUDITOR = "auditor"
    DEVICE_MANAGER = "device_manager"
    BIDDER = "bidder"
    SERVICE = "service"


class Purpose(StrEnum):
    """Why somebody reads a place or a number (contracts, section 4)."""

    COLLECTION = "collection"
    RECOVERY = "recovery"
    RISK_REVIEW = "risk_review"
    SUPPORT = "support"
    AUDIT = "audit"
    TEST = "test"


class CollateralForm(StrEnum):
    """Who holds the vehicle and whose it is (architecture 4)."""

    MORTGAGE = "mortgage"  # 抵押: the pledgor keeps driving
    PLEDGE = "pledge"  # 质押: it stands in the lender's yard
    LEASE_BACK = "lease_back"  # 售后回租
    DIRECT_LEASE = "direct_lease"  # 直租


class LoanStatus(StrEnum):
    """Where a loan stands in the lender's books."""

    ACTIVE = "active"
    OVERDUE = "overdue"
    EXTENDED = "extended"
    DISPUTED = "disputed"
    PAID = "paid"
    WRITTEN_OFF = "written_off"


class Power(StrEnum):
    """Wired devices live on the vehicle's battery, wireless ones on their own."""

    WIRED = "wired"
    WIRELESS = "wireless"


class Custody(StrEnum):
    """Who has the vehicle now."""

    PLEDGOR = "pledgor"
    LENDER_YARD = "lender_yard"
    RECOVERED = "recovered"
    RELEASED = "released"


@dataclass(frozen=True, slots=True)
class Party:
    """A pledgor or borrower under a pseudonym."""

    party_id: str
    alias: str
    kind: str = "person"


@dataclass(frozen=True, slots=True)
class Vehicle:
    """A vehicle. ``None`` in an upsert keeps what is stored."""

    vehicle_id: str
    vin: str | None = None
    plate: str | None = None
    engine_number: str | None = None
    make: str | None = None
    model: str | None = None
    model_year: int | None = None
    colour: str | None = None
    first_registration: date | None = None
    use_character: str | None = None
    emission_stage: str | None = None
    custody: str | None = None
    org_id: str | None = None
    pledgor_id: str | None = None


@dataclass(frozen=True, slots=True)
class Device:
    """A device and how often it is expected to speak. ``None`` in an upsert keeps what is stored."""

    device_id: str
    power: str | None = None
    model: str | None = None
    sim_iccid: str | None = None
    moving_s: int | None = None
    parked_s: int | None = None
    sleep_s: int | None = None


@dataclass(frozen=True, slots=True)
class LoanSnapshot:
    """A loan as the lender's books had it at ``snapshot_at``. ``None`` keeps what is stored.

    Payments up to ``covers_until`` are inside the balance; None: up to ``snapshot_at``.
    """

    loan_id: str
    vehicle_id: str
    balance_minor: int
    snapshot_at: datetime
    principal_minor: int | None = None
    currency: str = "CNY"
    collateral_form: str | None = None
    days_past_due: int | None = None
    next_due_on: date | None = None
    status: str | None = None
    borrower_id: str | None = None
    pledgor_id: str | None = None
    covers_until: datetime | None = None


@dataclass(frozen=True, slots=True)
class Payment:
    """Money received. ``days_past_due`` and ``next_due_on``: what remains after it, where said."""

    payment_id: str
    loan_id: str
    amount_minor: int
    currency: str
    paid_at: datetime
    days_past_due: int | None = None
    next_due_on: date | None = None
    source: str = ""


@dataclass(frozen=True, slots=True)
class UpsertCounts:
    """What an upsert of many rows did. ``stale``: older than what is stored, so left alone."""

    inserted: int = 0
    updated: int = 0
    unchanged: int = 0
    stale: int = 0

    def __add__(self, other: UpsertCounts) -> UpsertCounts:
        return UpsertCounts(
            self.inserted + other.inserted,
            self.updated + other.updated,
            self.unchanged + other.unchanged,
            self.stale + other.stale,
        )
