"""Bidders as the back office knows them: identity, wallet, exclusions; not the code they bid under."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

from fastapi import APIRouter, Path
from pydantic import BaseModel, Field

from api.board.models import Money
from api.deps import Conn, Who
from api.idempotency.once import OnlyOnce
from api.paging import Cursor, Limit, Page, cut, decode
from api.resources.disposal_cases import visible_case
from api.sale import store as store_of_sale
from api.sale.models import Body, Line, MoneyIn
from auction.bidders import actions, store
from auction.bidders.domain import Bidder
from auction.deposits import actions as deposits
from core.db.pool import Connection
from core.domain.money import Money as DomainMoney

router = APIRouter(prefix="/bidders", tags=["bidders"])

BidderKey = Annotated[int, Path(ge=1, lt=2**63)]


class VerificationIn(Body):
    """What an identity was checked against."""

    reference: Line
    passed: Annotated[bool, Field(strict=True)] = True


class CreditIn(Body):
    """Money that arrived at the bank for a bidder; the reference is the bank's, and counts once."""

    amount: MoneyIn
    reference: Line


class ExclusionIn(Body):
    """Why somebody may not bid; without a case, nowhere."""

    reason: Literal[
        "staff", "relative", "appraiser", "transporter", "lender", "borrower", "defaulted_buyer",
        "sanctioned", "other",
    ]  # fmt: skip
    case_id: UUID | None = None
    note: Annotated[str, Field(max_length=2000, pattern=r"^[^\x00]*$")] = ""


class BidderOut(BaseModel):
    """A bidder."""

    id: int
    actor: str
    display_name: str
    kyc_state: str
    kyc_reference: str | None
    kyc_at: datetime | None
    created_at: datetime
    wallet: list[Money] = Field(description="What is free, per currency.")

    @classmethod
    def of(cls, conn: Connection, bidder: Bidder) -> BidderOut:
        """Build from the domain's bidder."""
        return cls(
            id=bidder.bidder_id, actor=bidder.actor, display_name=bidder.display_name,
            kyc_state=bidder.kyc_state, kyc_reference=bidder.kyc_reference, kyc_at=bidder.kyc_at,
            created_at=bidder.created_at,
            wallet=[
                Money(amount_minor=free_minor, currency=currency)
                for currency, free_minor in store_of_sale.wallets(conn, bidder.bidder_id)
            ],
        )  # fmt: skip


class ExclusionOut(BaseModel):
    """An exclusion."""

    id: int
    bidder_id: int
    case_id: UUID | None
    reason: str
    note: str
    recorded_by: str
    recorded_at: datetime


@router.get("")
def list_bidders(conn: Conn, asker: Who, limit: Limit = 100, cursor: Cursor = None) -> Page[BidderOut]:
    """List bidders, oldest first."""
    key = decode(cursor, int)
    rows = store.list_bidders(conn, after=int(key[0]) if key else 0, limit=limit + 1)
    shown, following = cut(rows, limit, lambda bidder: (bidder.bidder_id,))
    return Page(items=[BidderOut.of(conn, bidder) for bidder in shown], next=following)


@router.post("/{bidder_id}/verification")
def verify_bidder(bidder_id: BidderKey, body: VerificationIn, conn: Conn, asker: Who) -> BidderOut:
    """Record that an identity was checked; deposits that wait for it make registrations eligible."""
    verified = actions.verify(conn, bidder_id, body.reference, asker.actor, passed=body.passed)
    return BidderOut.of(conn, verified)


@router.post("/{bidder_id}/wallet-credits", status_code=201)
def credit_wallet(bidder_id: BidderKey, body: CreditIn, conn: Conn, asker: Who, once: OnlyOnce) -> BidderOut:
    """Book money that arrived for a bidder."""

    def make() -> BidderOut:
        bidder = store.get_bidder(conn, bidder_id)
        deposits.credit_wallet(
            conn, bidder_id, DomainMoney(body.amount.amount_minor, body.amount.currency), body.reference,
            asker.actor,
        )  # fmt: skip
        return BidderOut.of(conn, bidder)

    return once(BidderOut, make)


@router.post("/{bidder_id}/exclusions", status_code=201)
def exclude_bidder(
    bidder_id: BidderKey, body: ExclusionIn, conn: Conn, asker: Who, once: OnlyOnce
) -> ExclusionOut:
    """Exclude somebody from a case, or from every sale."""
    if body.case_id is not None:
        visible_case(conn, asker, body.case_id)

    def make() -> ExclusionOut:
        made = actions.exclude(
            conn, bidder_id, body.reason, asker.actor, case_id=body.case_id, note=body.note
        )
        return ExclusionOut(
            id=made.exclusion_id, bidder_id=made.bidder_id, case_id=made.case_id, reason=made.reason,
            note=made.note, recorded_by=made.recorded_by, recorded_at=made.recorded_at,
        )  # fmt: skip

    return once(ExclusionOut, make)
