"""Attempts to reach somebody: within the allowed hours, with a purpose, an outcome, and what comes next."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from typing import Annotated, Literal
from uuid import UUID

from fastapi import APIRouter, Query
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from alerts.cases import actions as cases
from api.auth import Asker
from api.board.models import Money
from api.deps import Conn, Services, Who, Wired
from api.idempotency.once import OnlyOnce
from api.paging import Page
from api.resources.cases import visible_case
from api.resources.contacts import visible_party
from api.resources.vehicles import visible_vehicle
from collateral.contacts import book, store
from collateral.contacts.hours import ContactHours
from collateral.contacts.store import Attempt
from collateral.domain import Purpose
from core.clock import wall_now
from core.db.pool import Connection
from core.errors import Rejected

router = APIRouter(prefix="/contacts/attempts", tags=["contacts"])

Text = Annotated[str, Field(max_length=2000, pattern=r"^[^\x00]*$")]
Id = Annotated[str, Field(min_length=1, max_length=64, pattern=r"^[^\x00-\x1f/]+$")]


class AttemptIn(BaseModel):
    """What was tried; ``attempted_at`` null: just now.

    ``override_reason``: why outside the allowed hours, or to a third party.
    """

    model_config = ConfigDict(extra="forbid")

    party_id: Id
    channel: Literal["call", "sms", "wechat", "email", "letter", "visit"]
    purpose: Purpose
    outcome: Literal[
        "reached",
        "promised",
        "no_answer",
        "busy",
        "refused",
        "wrong_number",
        "left_message",
        "third_party_answered",
    ]
    attempted_at: AwareDatetime | None = None
    contact_id: Annotated[int, Field(ge=1, lt=2**63)] | None = None
    vehicle_id: Id | None = None
    case_id: UUID | None = None
    promise_on: date | None = None
    promise: Money | None = None
    next_action: Text | None = None
    next_action_on: date | None = None
    note: Text = ""
    override_reason: Text | None = None


class AttemptOut(BaseModel):
    """An attempt on record."""

    id: int
    party_id: str
    actor: str
    channel: str
    purpose: str
    outcome: str
    attempted_at: AwareDatetime
    contact_id: int | None
    vehicle_id: str | None
    case_id: str | None
    promise_on: date | None
    promise: Money | None
    next_action: str | None
    next_action_on: date | None
    note: str
    override_reason: str | None

    @classmethod
    def of(cls, row: Attempt) -> AttemptOut:
        """Build from the domain's attempt."""
        promise = None
        if row.promise_minor is not None and row.promise_currency is not None:
            promise = Money(amount_minor=row.promise_minor, currency=row.promise_currency)
        return cls(
            id=row.attempt_id, party_id=row.party_id, actor=row.actor, channel=row.channel,
            purpose=row.purpose,
            outcome=row.outcome, attempted_at=row.attempted_at, contact_id=row.contact_id,
            vehicle_id=row.vehicle_id, case_id=row.case_id, promise_on=row.promise_on, promise=promise,
            next_action=row.next_action, next_action_on=row.next_action_on, note=row.note,
            override_reason=row.override_reason,
        )  # fmt: skip


@router.get("")
def list_attempts(
    conn: Conn,
    asker: Who,
    party_id: Annotated[str | None, Query(max_length=64)] = None,
    vehicle_id: Annotated[str | None, Query(max_length=64)] = None,
    case_id: UUID | None = None,
    limit: Annotated[int, Query(ge=1, le=500)] = 100,
) -> Page[AttemptOut]:
    """List attempts of a party, about a vehicle or in a case (name at least one), newest first."""
    if party_id is None and vehicle_id is None and case_id is None:
        raise Rejected("Expected party_id, vehicle_id or case_id, was none of them", code="filter_missing")
    _visible(conn, asker, party_id, vehicle_id, case_id)
    rows = store.list_attempts(
        conn,
        party_id=party_id,
        vehicle_id=vehicle_id,
        case_id=None if case_id is None else str(case_id),
        limit=limit,
    )
    return Page(items=list(map(AttemptOut.of, rows)))


@router.post("", status_code=201)
def record_attempt(body: AttemptIn, conn: Conn, asker: Who, services: Wired, once: OnlyOnce) -> AttemptOut:
    """Record an attempt; outside the allowed hours, and to third parties, only with a reason."""
    return once(AttemptOut, lambda: record(conn, asker, services, body))


def record(conn: Connection, asker: Asker, services: Services, body: AttemptIn) -> AttemptOut:
    """Store an attempt for the API or a page, and write it into its case.

    Raises:
        NotFound: the party, vehicle or case is not of the asker's branches.
        Conflict, Rejected: see collateral/contacts/book.py.
    """
    _visible(conn, asker, body.party_id, body.vehicle_id, body.case_id)
    vehicle_id = body.vehicle_id
    if body.case_id is not None and vehicle_id is None:
        vehicle_id = visible_case(conn, asker, body.case_id).vehicle_id
    attempt = Attempt(
        party_id=body.party_id, actor=asker.actor, channel=body.channel, purpose=body.purpose.value,
        outcome=body.outcome, attempted_at=body.attempted_at or wall_now(), contact_id=body.contact_id,
        vehicle_id=vehicle_id, case_id=None if body.case_id is None else str(body.case_id),
        promise_on=body.promise_on, promise_minor=body.promise.amount_minor if body.promise else None,
        promise_currency=body.promise.currency if body.promise else None, next_action=body.next_action,
        next_action_on=body.next_action_on, note=body.note, override_reason=body.override_reason,
    )  # fmt: skip
    attempt_id = book.record_attempt(conn, attempt, hours=ContactHours(timezone=services.settings.timezone))
    if body.case_id is not None:
        facts: dict[str, str | int] = {
            "attempt_id": attempt_id,
            "channel": body.channel,
            "outcome": body.outcome,
        }
        if body.promise_on is not None:
            facts["promise_on"] = body.promise_on.isoformat()
        cases.add_contact(conn, body.case_id, asker.actor, body.note, facts)
    return AttemptOut.of(replace(attempt, attempt_id=attempt_id))


def _visible(
    conn: Connection, asker: Asker, party_id: str | None, vehicle_id: str | None, case_id: UUID | None
) -> None:
    if party_id is not None:
        visible_party(conn, asker, party_id)
    if vehicle_id is not None:
        visible_vehicle(conn, asker, vehicle_id)
    if case_id is not None:
        visible_case(conn, asker, case_id)
