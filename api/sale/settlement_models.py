"""What goes into and comes out of settlements."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Literal
from uuid import UUID

from pydantic import AwareDatetime, BaseModel, Field, StrictInt

from api.board.models import Money
from api.resources.approvals import ApprovalOut
from api.sale.models import Body, Line, MoneyIn, Reason, Text
from auction.bidders import store as bidders
from auction.settlement import actions, store
from auction.settlement.domain import PaymentOutcome, Settlement, SettlementPayment
from auction.settlement.waterfall import Waterfall
from auction.title import actions as title
from auction.title.store import TitleStep

if TYPE_CHECKING:
    from core.db.pool import Connection


class PaymentIn(Body):
    """What the bank received; its reference counts once."""

    reference: Line
    amount: MoneyIn
    received_at: AwareDatetime | None = Field(default=None, description="Left out: now.")


class ExtensionIn(Body):
    """More time to pay."""

    days: Annotated[StrictInt, Field(ge=1, le=5)]
    reason: Reason


class StepIn(Body):
    """Where a step of the title transfer stands, and the paper that says so."""

    state: Literal["todo", "blocked", "done", "waived"]
    evidence: Text = ""


class HandoverIn(Body):
    """What is checked when the vehicle leaves the yard."""

    release_code: Annotated[str, Field(min_length=1, max_length=64, pattern=r"^[^\x00]*$")]
    odometer_km: Annotated[StrictInt, Field(ge=0, le=3_000_000)]


class SettlementPaymentOut(BaseModel):
    """A payment."""

    id: UUID
    reference: str
    amount: Money
    received_at: datetime
    recorded_by: str


class StepOut(BaseModel):
    """A step of the title transfer."""

    step: str
    position: int
    state: str
    evidence: str
    actor: str | None
    at: datetime | None

    @classmethod
    def of(cls, row: TitleStep) -> StepOut:
        """Build from the domain's step."""
        return cls(
            step=row.step, position=row.position, state=row.state, evidence=row.evidence, actor=row.actor,
            at=row.at,
        )  # fmt: skip


class StepWritten(BaseModel):
    """A step as it stands now, the lot's state, and the question that waiving it asks."""

    step: StepOut
    lot_state: str
    approval: ApprovalOut | None = None


class SettlementOut(BaseModel):
    """A settlement; ``due`` is the price and fees less the deposit, ``open`` what is still missing of it."""

    id: UUID
    lot_id: UUID
    case_id: UUID
    invoice_number: int
    buyer_code: str
    buyer_name: str
    price: Money
    fees: Money
    deposit: Money
    due: Money
    open: Money
    pay_by: datetime
    state: str
    created_at: datetime
    paid_at: datetime | None
    handed_over_at: datetime | None
    odometer_km: int | None
    closed_at: datetime | None
    version: int
    payments: list[SettlementPaymentOut]
    title_steps: list[StepOut]


class PaymentOut(BaseModel):
    """A settlement after a payment. ``release_code`` is told here and never again."""

    settlement: SettlementOut
    paid: Money
    open: Money
    release_code: str | None

    @classmethod
    def of(cls, conn: Connection, outcome: PaymentOutcome) -> PaymentOut:
        """Build from the domain's outcome."""
        currency = outcome.settlement.currency
        return cls(
            settlement=settlement_out(conn, outcome.settlement),
            paid=Money(amount_minor=outcome.paid_minor, currency=currency),
            open=Money(amount_minor=outcome.open_minor, currency=currency),
            release_code=outcome.release_code,
        )


class ReleaseCodeOut(BaseModel):
    """A release code; it is told once."""

    release_code: str


class LegOut(BaseModel):
    """One share of the price."""

    kind: str
    who: str
    due: Money
    gets: Money


class WaterfallOut(BaseModel):
    """Who gets how much. The surplus is the pledgor's, the shortfall the debtor's."""

    settlement_id: UUID
    booked: bool
    proceeds: Money
    forfeited: Money
    legs: list[LegOut]
    surplus: Money
    shortfall: Money
    interest_cap: Money
    excess_interest: Money = Field(description="Claimed above the cap; shown, never collected.")
    excess_principal: Money

    @classmethod
    def of(cls, settlement: Settlement, division: Waterfall) -> WaterfallOut:
        """Build from the domain's division."""

        def money(amount_minor: int) -> Money:
            return Money(amount_minor=amount_minor, currency=settlement.currency)

        return cls(
            settlement_id=settlement.settlement_id, booked=settlement.waterfall is not None,
            proceeds=money(division.proceeds_minor), forfeited=money(division.forfeited_minor),
            legs=[
                LegOut(kind=leg.kind, who=leg.who, due=money(leg.due_minor), gets=money(leg.gets_minor))
                for leg in division.legs
            ],
            surplus=money(division.surplus_minor), shortfall=money(division.shortfall_minor),
            interest_cap=money(division.interest_cap_minor),
            excess_interest=money(division.excess_interest_minor),
            excess_principal=money(division.excess_principal_minor),
        )  # fmt: skip


def settlement_out(conn: Connection, settlement: Settlement) -> SettlementOut:
    """Build the view of a settlement with its payments and its checklist."""
    registration = bidders.get_registration(conn, settlement.registration_id)

    def money(amount_minor: int) -> Money:
        return Money(amount_minor=amount_minor, currency=settlement.currency)

    def payment(row: SettlementPayment) -> SettlementPaymentOut:
        return SettlementPaymentOut(
            id=row.payment_id, reference=row.reference, amount=money(row.amount_minor),
            received_at=row.received_at, recorded_by=row.recorded_by,
        )  # fmt: skip

    return SettlementOut(
        id=settlement.settlement_id, lot_id=settlement.lot_id, case_id=settlement.case_id,
        invoice_number=settlement.invoice_number, buyer_code=registration.code,
        buyer_name=bidders.get_bidder(conn, registration.bidder_id).display_name,
        price=money(settlement.price_minor), fees=money(settlement.fees_minor),
        deposit=money(settlement.deposit_minor), due=money(settlement.due_minor),
        open=money(actions.open_minor(conn, settlement)), pay_by=settlement.pay_by, state=settlement.state,
        created_at=settlement.created_at, paid_at=settlement.paid_at,
        handed_over_at=settlement.handed_over_at, odometer_km=settlement.odometer_km,
        closed_at=settlement.closed_at, version=settlement.version,
        payments=list(map(payment, store.payments_of(conn, settlement.settlement_id))),
        title_steps=list(map(StepOut.of, title.steps(conn, settlement.settlement_id))),
    )  # fmt: skip
