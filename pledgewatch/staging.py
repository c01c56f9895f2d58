"""A lot that can be bid on, made by the same functions as the console uses: for the demo, benches and tests.

Two invented people do what the law wants two people for.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from auction.bidders import actions as bidders
from auction.cases import actions as cases
from auction.cases.domain import NewAppraisal
from auction.deposits import actions as deposits
from auction.domain import LotTerms
from auction.lots import actions as lots
from auction.lots.store import database_now
from collateral.domain import Custody
from collateral.staff.access import create_token, principal_of_token
from collateral.vehicles.store import set_custody
from core.domain.money import Money
from core.errors import NotFound

if TYPE_CHECKING:
    from uuid import UUID

    from auction.bidders.domain import Bidder, Registration
    from auction.cases.domain import DisposalCase
    from auction.domain import Lot
    from core.db.pool import Connection
    from core.policy.pack import Pack

FIRST, SECOND = "staging:first", "staging:second"
WALLET_FACTOR = 20
"""How many deposits an invented bidder can pay."""


@dataclass(frozen=True, slots=True)
class Guest:
    """An invented bidder and the token that speaks for it."""

    name: str
    token: str
    bidder: Bidder


def stage_case(conn: Connection, vehicle_id: str, value_minor: int, pack: Pack) -> DisposalCase:
    """Bring a vehicle into the yard and open its disposal case, appraised by hand."""
    set_custody(conn, vehicle_id, Custody.LENDER_YARD)
    appraisal = NewAppraisal(
        value_minor=value_minor,
        currency=pack.currency,
        method="manual",
        appraiser="staging:appraiser",
        valued_on=pack.day_of(database_now(conn)),
        reference="STAGED",
    )
    return open_case(conn, vehicle_id, appraisal, pack, reference="STAGED")


def open_case(
    conn: Connection, vehicle_id: str, appraisal: NewAppraisal, pack: Pack, *, reference: str
) -> DisposalCase:
    """Open the disposal case of a vehicle in the yard, with a contractual basis of today."""
    case = cases.open_by_staff(conn, vehicle_id, pack, FIRST)
    today = pack.day_of(database_now(conn))
    cases.set_basis(conn, case.case_id, "contractual_self_sale", reference, today, FIRST)
    cases.add_appraisal(conn, case.case_id, appraisal, FIRST)
    return case


def floor_on_grid(value_minor: int, pack: Pack) -> int:
    """Return the least start price that the pack allows, on its grid."""
    return -(-pack.floor_minor(value_minor) // pack.tick_minor) * pack.tick_minor


def draft_lot(
    conn: Connection,
    case_id: UUID,
    pack: Pack,
    *,
    title: str,
    start_minor: int,
    lasts: timedelta,
    starts_in: timedelta = timedelta(),
    description: str = "",
    defects: str = "",
) -> Lot:
    """Draft a lot that starts so long from now and lasts so long."""
    starts_at = database_now(conn) + starts_in
    terms = LotTerms(
        title=title,
        start_minor=start_minor,
        starts_at=starts_at,
        ends_at=starts_at + lasts,
        description=description,
        defects=defects,
    )
    return lots.draft(conn, case_id, terms, FIRST)


def publish_lot(conn: Connection, lot_id: UUID) -> Lot:
    """Submit by the one, publish by the other."""
    lots.submit(conn, lot_id, FIRST)
    return lots.publish(conn, lot_id, SECOND)


def invite(conn: Connection, name: str, *, deposit: Money) -> Guest:
    """Make a verified bidder with a token and money enough for many deposits of this size."""
    token = create_token(conn, "bidder", name=name)
    principal = principal_of_token(conn, token)
    if principal is None:
        raise NotFound("Expected the token that was just made, found none")
    bidder = bidders.bidder_of(conn, principal.actor, name)
    bidders.verify(conn, bidder.bidder_id, f"STAGED-{bidder.bidder_id}", SECOND)
    if deposit.amount_minor:
        purse = Money(deposit.amount_minor * WALLET_FACTOR, deposit.currency)
        deposits.credit_wallet(conn, bidder.bidder_id, purse, f"STAGED-{bidder.bidder_id}", SECOND)
    return Guest(name, token, bidder)


def admit(conn: Connection, lot: Lot, guest: Guest, pack: Pack) -> Registration:
    """Register a guest for a lot and hold its deposit."""
    registration = bidders.register(conn, lot.lot_id, guest.bidder, pack.terms_version)
    deposits.hold(conn, registration.registration_id, guest.bidder.actor)
    return bidders.refresh_eligibility(conn, registration.registration_id)
