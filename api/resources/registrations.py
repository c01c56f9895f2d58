"""Registrations: a bidder comes to a lot under a code, accepts its terms and leaves a deposit."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query, Response
from pydantic import BaseModel, Field

from api.auth import Asker
from api.board.models import Money
from api.deps import Conn, Who
from api.idempotency.once import OnlyOnce
from api.paging import Limit, Page
from api.sale.models import Body, Line, Reason
from api.sale.visitors import own_lot, visible_lot
from auction.bidders import actions, store
from auction.bidders.domain import Bidder, Registration
from auction.bids import store as bids
from auction.deposits import actions as deposits
from auction.domain import Lot
from auction.lots import store as lots
from core.db.pool import Connection
from core.errors import NotFound

router = APIRouter(tags=["registrations"])


class RegistrationIn(Body):
    """Accepting the lot's terms, by their version."""

    terms_version: Annotated[str, Field(max_length=64, pattern=r"^[^\x00]*$")]
    display_name: Line | None = Field(
        default=None, description="For the papers, if you win. Never shown before."
    )


class BarIn(Body):
    """Why somebody may not bid any more."""

    reason: Reason


class HoldOut(BaseModel):
    """A deposit on hold; ``pending`` ends once: voided, posted or forfeited."""

    id: UUID
    registration_id: UUID
    amount: Money
    state: str
    placed_at: datetime
    registration_state: str


class RegistrationOut(BaseModel):
    """A registration as staff see it: who it is only once the lot is decided, what they would pay never."""

    id: UUID
    registration_id: UUID
    lot_id: UUID
    code: str
    state: str
    terms_version: str
    created_at: datetime
    deposit: Money
    deposit_state: str | None = Field(description="Null: nothing is held yet.")
    barred_reason: str | None
    bidder_id: int | None = None
    display_name: str | None = None


class OwnRegistrationOut(RegistrationOut):
    """A registration as its bidder sees it."""

    kyc_state: str
    wallet: Money = Field(description="What is free, in the lot's currency.")
    own_max: Money | None
    leading: bool


@router.post("/lots/{lot_id}/registrations", status_code=201)
def register_for_lot(
    lot_id: UUID, body: RegistrationIn, response: Response, conn: Conn, asker: Who, once: OnlyOnce
) -> OwnRegistrationOut:
    """Register for a lot under a code that nobody can trace to you before the lot is decided."""
    lot = visible_lot(conn, None, lot_id)

    def make() -> OwnRegistrationOut:
        bidder = actions.bidder_of(conn, asker.actor, body.display_name or asker.name)
        return own(conn, actions.register(conn, lot_id, bidder, body.terms_version), lot, bidder)

    made = once(OwnRegistrationOut, make)
    response.headers["Location"] = f"/api/v1/registrations/{made.id}"
    return made


@router.get("/lots/{lot_id}/registrations")
def list_registrations(lot_id: UUID, conn: Conn, asker: Who) -> Page[RegistrationOut]:
    """List who registered, by their codes; identities appear once the lot is decided."""
    lot = own_lot(conn, asker, lot_id)
    return Page(items=[seen_by_staff(conn, row, lot) for row in store.registrations_of_lot(conn, lot_id)])


@router.get("/registrations/{registration_id}")
def get_registration(registration_id: UUID, conn: Conn, asker: Who) -> OwnRegistrationOut | RegistrationOut:
    """Return a registration: to its bidder with the own maximum, to staff without."""
    registration, bidder = visible_registration(conn, asker, registration_id)
    lot = lots.get_lot(conn, registration.lot_id)
    if bidder.actor == asker.actor:
        return own(conn, registration, lot, bidder)
    return seen_by_staff(conn, registration, lot)


@router.post("/registrations/{registration_id}/deposit-holds", status_code=201)
def hold_deposit(registration_id: UUID, conn: Conn, asker: Who, once: OnlyOnce) -> HoldOut:
    """Put the lot's deposit on hold out of the bidder's wallet."""
    visible_registration(conn, asker, registration_id)

    def make() -> HoldOut:
        hold = deposits.hold(conn, registration_id, asker.actor)
        return HoldOut(
            id=hold.hold_id, registration_id=registration_id, state=hold.state, placed_at=hold.placed_at,
            amount=Money(amount_minor=hold.amount_minor, currency=hold.currency),
            registration_state=store.get_registration(conn, registration_id).state,
        )  # fmt: skip

    return once(HoldOut, make)


@router.post("/registrations/{registration_id}/bar")
def bar_registration(registration_id: UUID, body: BarIn, conn: Conn, asker: Who) -> RegistrationOut:
    """Take somebody out of the bidding; the deposit goes back."""
    registration, _ = visible_registration(conn, asker, registration_id)
    barred = actions.bar(conn, registration_id, body.reason, asker.actor)
    return seen_by_staff(conn, barred, lots.get_lot(conn, registration.lot_id))


@router.get("/me/registrations")
def my_registrations(
    conn: Conn, asker: Who, lot_id: Annotated[UUID | None, Query()] = None, limit: Limit = 100
) -> Page[OwnRegistrationOut]:
    """List where you are registered, newest first."""
    bidder = store.bidder_of_actor(conn, asker.actor)
    if bidder is None:
        return Page(items=[])
    if lot_id is not None:
        one = store.registration_of(conn, lot_id, bidder.bidder_id)
        rows = [] if one is None else [one]
    else:
        rows = store.registrations_of_bidder(conn, bidder.bidder_id, limit=limit)
    return Page(items=[own(conn, row, lots.get_lot(conn, row.lot_id), bidder) for row in rows])


def visible_registration(
    conn: Connection, asker: Asker, registration_id: UUID
) -> tuple[Registration, Bidder]:
    """Return a registration of one's own, or, for staff, at a lot of their branches.

    Raises:
        NotFound: there is none, or it belongs to somebody else.
    """
    registration = store.get_registration(conn, registration_id)
    bidder = store.get_bidder(conn, registration.bidder_id)
    if bidder.actor != asker.actor:
        if not asker.may("list_registrations"):
            raise NotFound(
                f"Expected a registration of yours, found none with id {registration_id}",
                code="registration_not_found",
            )
        own_lot(conn, asker, registration.lot_id)
    return registration, bidder


def seen_by_staff(conn: Connection, registration: Registration, lot: Lot) -> RegistrationOut:
    """Build the view of staff."""
    named = store.get_bidder(conn, registration.bidder_id) if lot.decided else None
    return RegistrationOut(
        **_base(conn, registration, lot).model_dump(exclude={"bidder_id", "display_name"}),
        bidder_id=named.bidder_id if named else None,
        display_name=named.display_name if named else None,
    )


def own(conn: Connection, registration: Registration, lot: Lot, bidder: Bidder) -> OwnRegistrationOut:
    """Build the bidder's own view."""
    mine = bids.bids_of_bidder(conn, bidder.bidder_id, lot_id=lot.lot_id, limit=500)
    highest = max((bid.max_minor for bid in mine), default=None)
    # Who of the staff barred them stays inside.
    why = (registration.barred_reason or "").rpartition(" (")[0] or None
    return OwnRegistrationOut(
        **_base(conn, registration, lot).model_dump(exclude={"bidder_id", "display_name", "barred_reason"}),
        barred_reason=why,
        bidder_id=bidder.bidder_id, display_name=bidder.display_name, kyc_state=bidder.kyc_state,
        wallet=Money(
            amount_minor=deposits.balance(conn, bidder.bidder_id, lot.currency).amount_minor,
            currency=lot.currency,
        ),
        own_max=None if highest is None else Money(amount_minor=highest, currency=lot.currency),
        leading=lot.leader_id == registration.registration_id,
    )  # fmt: skip


def _base(conn: Connection, registration: Registration, lot: Lot) -> RegistrationOut:
    hold = deposits.hold_of(conn, registration.registration_id)
    return RegistrationOut(
        id=registration.registration_id, registration_id=registration.registration_id, lot_id=lot.lot_id,
        code=registration.code, state=registration.state, terms_version=registration.terms_version,
        created_at=registration.created_at,
        deposit=Money(amount_minor=lot.deposit_minor, currency=lot.currency),
        deposit_state=hold.state if hold else None, barred_reason=registration.barred_reason,
    )  # fmt: skip
