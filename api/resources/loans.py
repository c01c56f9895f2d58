"""Loans: snapshots from the lender's books, and payments as they come in."""

from __future__ import annotations

from datetime import date
from typing import Annotated

from fastapi import APIRouter, Path, Query, Response
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from api.auth import Asker
from api.board import store as board
from api.board.models import Money
from api.deps import Conn, Who
from api.idempotency.once import OnlyOnce
from api.paging import Cursor, Limit, Page, cut, decode
from api.resources.vehicles import visible_vehicle
from collateral.domain import CollateralForm, LoanSnapshot, LoanStatus, Payment
from collateral.loans import book, store
from collateral.parties.store import add_missing_parties
from core.db.pool import Connection
from core.errors import NotFound, Rejected

router = APIRouter(prefix="/loans", tags=["loans"])

Id = Annotated[str, Field(min_length=1, max_length=64, pattern=r"^[^\x00-\x1f/]+$")]
LoanId = Annotated[str, Path(min_length=1, max_length=64, pattern=r"^[^\x00-\x1f/]+$")]
Days = Annotated[int, Field(ge=0, le=36_500)]


class LoanIn(BaseModel):
    """The loan as the books have it at ``snapshot_at``; one older than what is stored changes nothing."""

    model_config = ConfigDict(extra="forbid")

    vehicle_id: Id
    balance: Money
    snapshot_at: AwareDatetime
    principal: Money | None = None
    collateral_form: CollateralForm | None = None
    days_past_due: Days | None = None
    next_due_on: date | None = None
    status: LoanStatus | None = None
    borrower_id: Id | None = None
    pledgor_id: Id | None = None


class LoanOut(BaseModel):
    """A loan: its newest snapshot less the payments made after it."""

    loan_id: str
    vehicle_id: str
    borrower_id: str | None
    pledgor_id: str | None
    collateral_form: str
    principal: Money
    balance: Money
    days_past_due: int
    next_due_on: date | None
    status: str
    snapshot_at: AwareDatetime

    @classmethod
    def of(cls, row: store.LoanRow) -> LoanOut:
        """Build from a row."""
        return cls(
            loan_id=row.loan_id, vehicle_id=row.vehicle_id, borrower_id=row.borrower_id,
            pledgor_id=row.pledgor_id, collateral_form=row.collateral_form,
            principal=Money(amount_minor=row.principal_minor, currency=row.currency),
            balance=Money(amount_minor=row.balance_minor, currency=row.currency),
            days_past_due=row.days_past_due, next_due_on=row.next_due_on, status=row.status,
            snapshot_at=row.snapshot_at,
        )  # fmt: skip


class PaymentIn(BaseModel):
    """Money received; ``days_past_due`` and ``next_due_on``: what remains, where the books say so."""

    model_config = ConfigDict(extra="forbid")

    payment_id: Id
    amount: Money
    paid_at: AwareDatetime
    days_past_due: Days | None = None
    next_due_on: date | None = None
    source: Annotated[str, Field(max_length=100, pattern=r"^[^\x00]*$")] = ""


class PaymentOut(BaseModel):
    """The loan after the payment; ``recorded`` is false for a repeat. ``excess`` is owed back."""

    loan: LoanOut
    recorded: bool
    excess: Money


@router.get("")
def list_loans(
    conn: Conn,
    asker: Who,
    vehicle_id: Annotated[str | None, Query(max_length=64)] = None,
    overdue: Annotated[bool, Query(description="Only with days past due.")] = False,
    limit: Limit = 100,
    cursor: Cursor = None,
) -> Page[LoanOut]:
    """List the loans on vehicles of your branches by id."""
    after = decode(cursor, str)
    rows = store.list_loans(
        conn, asker.org_ids, vehicle_id=vehicle_id, overdue=overdue,
        after=str(after[0]) if after else None, limit=limit + 1,
    )  # fmt: skip
    shown, following = cut(rows, limit, lambda row: (row.loan_id,))
    return Page(items=list(map(LoanOut.of, shown)), next=following)


@router.get("/{loan_id}")
def get_loan(loan_id: LoanId, conn: Conn, asker: Who) -> LoanOut:
    """Return one loan."""
    return LoanOut.of(_visible(conn, asker, loan_id))


@router.put("/{loan_id}")
def put_loan(loan_id: LoanId, body: LoanIn, conn: Conn, asker: Who, response: Response) -> LoanOut:
    """Upsert a snapshot; `Snapshot-Applied: false` says that a newer one was stored already."""
    if store.get_loan(conn, loan_id) is not None:
        _visible(conn, asker, loan_id)
    visible_vehicle(conn, asker, body.vehicle_id)
    if body.principal is not None and body.principal.currency != body.balance.currency:
        raise Rejected("Expected principal and balance in one currency", code="currency_mismatch")
    parties = [party for party in (body.borrower_id, body.pledgor_id) if party is not None]
    if parties:
        add_missing_parties(conn, parties)
    counts = book.upsert_loans(
        conn,
        [
            LoanSnapshot(
                loan_id=loan_id, vehicle_id=body.vehicle_id, balance_minor=body.balance.amount_minor,
                snapshot_at=body.snapshot_at,
                principal_minor=body.principal.amount_minor if body.principal else None,
                currency=body.balance.currency,
                collateral_form=body.collateral_form.value if body.collateral_form else None,
                days_past_due=body.days_past_due, next_due_on=body.next_due_on,
                status=body.status.value if body.status else None,
                borrower_id=body.borrower_id, pledgor_id=body.pledgor_id,
            )
        ],
    )  # fmt: skip
    response.headers["Snapshot-Applied"] = "false" if counts.stale else "true"
    return LoanOut.of(_visible(conn, asker, loan_id))


@router.post("/{loan_id}/payments", status_code=201)
def record_payment(loan_id: LoanId, body: PaymentIn, conn: Conn, asker: Who, once: OnlyOnce) -> PaymentOut:
    """Record a payment (webhook of the servicing system); a repeat of the same payment changes nothing."""
    _visible(conn, asker, loan_id)

    def make() -> PaymentOut:
        outcome = book.record_payment(
            conn,
            Payment(
                payment_id=body.payment_id, loan_id=loan_id, amount_minor=body.amount.amount_minor,
                currency=body.amount.currency, paid_at=body.paid_at, days_past_due=body.days_past_due,
                next_due_on=body.next_due_on, source=body.source or asker.actor,
            ),
        )  # fmt: skip
        return PaymentOut(
            loan=LoanOut.of(outcome.loan),
            recorded=outcome.recorded,
            excess=Money(amount_minor=outcome.excess_minor, currency=outcome.loan.currency),
        )

    return once(PaymentOut, make)


def _visible(conn: Connection, asker: Asker, loan_id: str) -> store.LoanRow:
    loan = store.get_loan(conn, loan_id)
    if loan is None or board.org_of(conn, loan.vehicle_id) not in asker.org_ids:
        raise NotFound(f"Expected a loan of your branches, there is no {loan_id}", code="loan_not_found")
    return loan
