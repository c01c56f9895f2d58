"""What goes over HTTP between the decision to take a vehicle in and its way out of the yard."""

from __future__ import annotations

from datetime import date, datetime
from typing import Annotated, Literal
from uuid import UUID

from pydantic import AwareDatetime, BaseModel, BeforeValidator, ConfigDict, Field

from alerts.recovery.domain import (
    Belonging,
    Dispatch,
    Ground,
    Photo,
    RecordedIntake,
    Release,
)
from alerts.recovery.intake import LONGEST_KM, MOST_KEYS, MOST_OF_ONE


def _no_truth_value(given: object) -> object:
    """Refuse ``true`` where a number is meant: it would be read as one kilometre, or one key."""
    if isinstance(given, bool):
        raise ValueError("expected a number, was a truth value")  # noqa: TRY004 - pydantic's way of saying it
    return given


Text = Annotated[str, Field(max_length=2000, pattern=r"^[^\x00]*$")]
Name = Annotated[str, Field(min_length=1, max_length=200, pattern=r"^[^\x00]*$")]
MaybeName = Annotated[str, Field(max_length=200, pattern=r"^[^\x00]*$")]
Kilometres = Annotated[
    float, Field(ge=0, le=LONGEST_KM, allow_inf_nan=False), BeforeValidator(_no_truth_value)
]
Number = Annotated[int, Field(ge=1, lt=2**63)]
GroundKind = Literal["voluntary_handover", "court_order", "approved_lease_recovery"]
Failure = Literal["resistance", "not_found", "blocked", "third_party", "unsafe", "called_off", "other"]
PhotoKind = Literal[
    "front", "rear", "left", "right", "interior", "odometer", "keys", "damage", "belongings", "document",
    "other",
]  # fmt: skip
ReleaseKind = Literal["released", "redeemed"]


class Body(BaseModel):
    """Unknown fields are mistakes."""

    model_config = ConfigDict(extra="forbid")


class MoveIn(Body):
    """Where the case goes, with what that needs.

    ``locating`` out of ``dispatched``: ``failure`` and ``reason``. ``dispatched``: ``crew``, and if wanted
    ``partner``, ``ground_id``, the visit's window. ``recovered``: ``odometer_km`` and ``place`` if known.
    ``in_yard``: an intake, a photo and the belongings must be there. ``released``: ``kind`` and ``reason``.
    ``closed``: ``reason``.
    """

    to: Literal["locating", "dispatched", "recovered", "in_yard", "released", "closed"]
    reason: Text = ""
    failure: Failure = "other"
    crew: MaybeName = ""
    partner: MaybeName = ""
    ground_id: Number | None = None
    visit_from: AwareDatetime | None = None
    visit_until: AwareDatetime | None = None
    odometer_km: Kilometres | None = None
    place: MaybeName = ""
    kind: ReleaseKind = "released"
    handed_to: MaybeName = ""


class GroundIn(Body):
    """A paper by which the vehicle may be taken. ``document_sha256``: digest of the file that is kept."""

    kind: GroundKind
    reference: Name
    dated: date
    document_sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")] | None = None


class DecisionIn(Body):
    """What the second person says. ``note``: counsel's reference, or why not."""

    approve: bool
    note: Name


class WithdrawalIn(Body):
    """Why a ground ends."""

    reason: Name


class IntakeIn(Body):
    """How the vehicle came in. ``no_belongings``: somebody looked, and it was empty."""

    yard_id: Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,32}$")]
    odometer_km: Kilometres
    keys_count: Annotated[int, Field(ge=0, le=MOST_KEYS), BeforeValidator(_no_truth_value)]
    registration_certificate: bool
    condition_note: Text = ""
    no_belongings: bool = False
    handed_by: Name
    received_by: Name


class BelongingIn(Body):
    """A thing found in the vehicle."""

    item: Name
    quantity: Annotated[int, Field(ge=1, le=MOST_OF_ONE), BeforeValidator(_no_truth_value)] = 1


class ReturnIn(Body):
    """Who received a thing."""

    to: Name


class ReleaseIn(Body):
    """Why and to whom the vehicle goes back."""

    kind: ReleaseKind
    reason: Name
    handed_to: MaybeName = ""


class GroundOut(BaseModel):
    """A ground; ``state``: in_force, pending, refused, withdrawn."""

    id: int
    kind: str
    state: str
    reference: str
    document_sha256: str | None
    dated: date
    recorded_by: str
    recorded_at: datetime
    approved_by: str | None
    refused_by: str | None
    decision_note: str
    withdrawn_at: datetime | None
    withdrawn_why: str | None

    @classmethod
    def of(cls, ground: Ground) -> GroundOut:
        """Build from the domain's ground."""
        return cls(
            id=ground.ground_id, kind=ground.kind, state=ground.state, reference=ground.reference,
            document_sha256=ground.document_sha256.hex() if ground.document_sha256 else None,
            dated=ground.dated, recorded_by=ground.recorded_by, recorded_at=ground.recorded_at,
            approved_by=ground.approved_by, refused_by=ground.refused_by,
            decision_note=ground.decision_note, withdrawn_at=ground.withdrawn_at,
            withdrawn_why=ground.withdrawn_why,
        )  # fmt: skip


class DispatchOut(BaseModel):
    """A crew that was sent."""

    id: int
    ground_id: int
    crew: str
    partner: str
    visit_from: datetime | None
    visit_until: datetime | None
    dispatched_by: str
    dispatched_at: datetime
    ended_at: datetime | None
    outcome: str | None
    outcome_note: str
    odometer_km: float | None
    place: str

    @classmethod
    def of(cls, row: Dispatch) -> DispatchOut:
        """Build from the domain's dispatch."""
        return cls(
            id=row.dispatch_id, ground_id=row.ground_id, crew=row.crew, partner=row.partner,
            visit_from=row.visit_from, visit_until=row.visit_until, dispatched_by=row.dispatched_by,
            dispatched_at=row.dispatched_at, ended_at=row.ended_at, outcome=row.outcome,
            outcome_note=row.outcome_note, odometer_km=row.odometer_km, place=row.place,
        )  # fmt: skip


class IntakeOut(BaseModel):
    """An intake on record."""

    yard_id: str
    yard_name: str
    odometer_km: float
    keys_count: int
    registration_certificate: bool
    condition_note: str
    no_belongings: bool
    handed_by: str
    received_by: str
    recorded_by: str
    at: datetime

    @classmethod
    def of(cls, row: RecordedIntake) -> IntakeOut:
        """Build from the domain's intake."""
        one = row.intake
        return cls(
            yard_id=one.yard_id, yard_name=row.yard_name, odometer_km=one.odometer_km,
            keys_count=one.keys_count, registration_certificate=one.registration_certificate,
            condition_note=one.condition_note, no_belongings=one.no_belongings, handed_by=one.handed_by,
            received_by=one.received_by, recorded_by=row.recorded_by, at=row.at,
        )  # fmt: skip


class PhotoOut(BaseModel):
    """A photo; its picture is at ``/cases/{id}/photos/{photo id}``. ``sha256``: of what was uploaded."""

    id: UUID
    kind: str
    content_type: str
    size_bytes: int
    width: int
    height: int
    sha256: str
    taken_at: datetime | None
    uploaded_by: str
    uploaded_at: datetime

    @classmethod
    def of(cls, photo: Photo) -> PhotoOut:
        """Build from the domain's photo."""
        return cls(
            id=photo.photo_id, kind=photo.kind, content_type=photo.content_type,
            size_bytes=photo.size_bytes, width=photo.width, height=photo.height,
            sha256=photo.sha256.hex(), taken_at=photo.taken_at, uploaded_by=photo.uploaded_by,
            uploaded_at=photo.uploaded_at,
        )  # fmt: skip


class BelongingOut(BaseModel):
    """A thing found in the vehicle, and where it went."""

    id: int
    item: str
    quantity: int
    recorded_by: str
    returned_at: datetime | None
    returned_to: str | None

    @classmethod
    def of(cls, thing: Belonging) -> BelongingOut:
        """Build from the domain's thing."""
        return cls(
            id=thing.belonging_id, item=thing.item, quantity=thing.quantity,
            recorded_by=thing.recorded_by, returned_at=thing.returned_at, returned_to=thing.returned_to,
        )  # fmt: skip


class ReleaseOut(BaseModel):
    """How the vehicle went back."""

    kind: str
    reason: str
    handed_to: str
    released_by: str
    released_at: datetime

    @classmethod
    def of(cls, row: Release) -> ReleaseOut:
        """Build from the domain's release."""
        return cls(
            kind=row.kind, reason=row.reason, handed_to=row.handed_to, released_by=row.released_by,
            released_at=row.released_at,
        )  # fmt: skip


class RecoveryOut(BaseModel):
    """Where a recovery stands. ``moves``: where you may take it; ``missing_for_yard``: before 入库."""

    case_id: UUID
    state: str
    moves: list[str]
    missing_for_yard: list[str]
    grounds: list[GroundOut]
    dispatches: list[DispatchOut]
    intake: IntakeOut | None
    photos: list[PhotoOut]
    belongings: list[BelongingOut]
    release: ReleaseOut | None
