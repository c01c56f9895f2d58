"""What is recorded between the decision to take a vehicle in and its way out of the yard."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from uuid import UUID

GROUND_KINDS = ("voluntary_handover", "court_order", "approved_lease_recovery")
LEASE_RECOVERY = "approved_lease_recovery"
LEASE_FORMS = frozenset({"lease_back", "direct_lease"})
FAILURES = ("resistance", "not_found", "blocked", "third_party", "unsafe", "called_off", "other")
PHOTO_KINDS = (
    "front", "rear", "left", "right", "interior", "odometer", "keys", "damage", "belongings", "document",
    "other",
)  # fmt: skip
RELEASE_KINDS = ("released", "redeemed")


@dataclass(frozen=True, slots=True)
class Ground:
    """Why a vehicle may be taken."""

    ground_id: int
    case_id: UUID
    kind: str
    reference: str
    document_sha256: bytes | None
    dated: date
    recorded_by: str
    recorded_at: datetime
    approved_by: str | None
    approved_at: datetime | None
    refused_by: str | None
    refused_at: datetime | None
    decision_note: str
    withdrawn_by: str | None
    withdrawn_at: datetime | None
    withdrawn_why: str | None

    @property
    def state(self) -> str:
        """Return where it stands: ``in_force``, ``pending``, ``refused`` or ``withdrawn``."""
        if self.withdrawn_at is not None:
            return "withdrawn"
        if self.refused_at is not None:
            return "refused"
        return "pending" if self.kind == LEASE_RECOVERY and self.approved_at is None else "in_force"


@dataclass(frozen=True, slots=True)
class Dispatch:
    """A crew on its way, and how that ended."""

    dispatch_id: int
    case_id: UUID
    ground_id: int
    crew: str
    partner: str
    visit_from: datetime | None
    visit_until: datetime | None
    dispatched_by: str
    dispatched_at: datetime
    ended_at: datetime | None
    ended_by: str | None
    outcome: str | None
    outcome_note: str
    odometer_km: float | None
    place: str


@dataclass(frozen=True, slots=True)
class Yard:
    """Where recovered vehicles stand; WGS-84."""

    yard_id: str
    name: str
    org_id: str
    lat: float
    lon: float
    address: str


@dataclass(frozen=True, slots=True)
class Intake:
    """How a vehicle came into the yard. ``no_belongings``: somebody looked, and it was empty."""

    yard_id: str
    odometer_km: float
    keys_count: int
    registration_certificate: bool
    condition_note: str
    no_belongings: bool
    handed_by: str
    received_by: str


@dataclass(frozen=True, slots=True)
class RecordedIntake:
    """An intake on record."""

    case_id: UUID
    intake: Intake
    yard_name: str
    recorded_by: str
    at: datetime


@dataclass(frozen=True, slots=True)
class Photo:
    """A photo without its picture."""

    photo_id: UUID
    case_id: UUID
    kind: str
    content_type: str
    size_bytes: int
    width: int
    height: int
    sha256: bytes
    taken_at: datetime | None
    uploaded_by: str
    uploaded_at: datetime


@dataclass(frozen=True, slots=True)
class Belonging:
    """A thing found in the vehicle that is not part of it."""

    belonging_id: int
    case_id: UUID
    item: str
    quantity: int
    recorded_by: str
    recorded_at: datetime
    returned_at: datetime | None
    returned_to: str | None
    returned_by: str | None


@dataclass(frozen=True, slots=True)
class Release:
    """How a vehicle went back to its owner: 放车 (released) or 赎车 (redeemed)."""

    case_id: UUID
    kind: str
    reason: str
    handed_to: str
    released_by: str
    released_at: datetime


@dataclass(frozen=True, slots=True)
class CrewLink:
    """A link as listed: never its token. ``expired`` is judged by the database's clock."""

    link_id: int
    case_id: UUID
    crew: str
    created_by: str
    created_at: datetime
    expires_at: datetime
    revoked_at: datetime | None
    revoked_by: str | None
    expired: bool
    views: int

    @property
    def actor(self) -> str:
        """Return the name under which its acts are logged."""
        return f"crew:{self.link_id}"


@dataclass(frozen=True, slots=True)
class CrewLinkView:
    """One use of a link."""

    at: datetime
    ip: str
    what: str
