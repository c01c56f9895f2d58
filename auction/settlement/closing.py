"""Booking a division: every leg on its account, the shortfall as a debt, the loan told what it got."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from auction.cases import store as cases
from auction.deposits.wallets import check_amount, check_reference
from auction.ledger import book
from auction.ledger.domain import Account, AccountKind, Posting, bank, of_case, of_lot
from auction.lots.store import database_now
from auction.settlement.waterfall import Leg, Waterfall
from collateral.domain import Payment
from collateral.loans.book import record_payment
from core.errors import Rejected

if TYPE_CHECKING:
    from auction.cases.domain import DisposalCase, LoanFacts
    from auction.settlement.domain import Settlement
    from core.db.pool import Connection
    from core.domain.money import Money


def book_division(
    conn: Connection, settlement: Settlement, case: DisposalCase, division: Waterfall, actor: str
) -> None:
    """Book the legs in one entry, which empties the lot's proceeds and the case's suspense."""
    currency = settlement.currency
    loan = cases.loan_facts(conn, case.loan_id) if case.loan_id else None
    book.post(
        conn,
        "settlement.divided",
        f"settlement:{settlement.settlement_id}:divided",
        [
            Posting(of_lot(AccountKind.LOT_PROCEEDS, settlement.lot_id, currency), division.proceeds_minor),
            Posting(of_case(AccountKind.FORFEIT_SUSPENSE, case.case_id, currency), division.forfeited_minor),
            *(Posting(_account_of(leg, case, loan, currency), -leg.gets_minor) for leg in division.legs),
        ],
        case_id=case.case_id,
        lot_id=settlement.lot_id,
        actor=actor,
    )
    if division.shortfall_minor:
        _book_shortfall(conn, settlement, case, loan, division, actor)
    lender_minor = division.gets_minor("interest", "principal")
    if loan is not None and lender_minor:
        record_payment(
            conn,
            Payment(
                payment_id=f"disposal:{settlement.settlement_id}",
                loan_id=loan.loan_id,
                amount_minor=lender_minor,
                currency=currency,
                # The lender learns of it now: a snapshot made since the buyer paid does not hold it.
                paid_at=database_now(conn),
                source="disposal",
            ),
        )


def _book_shortfall(
    conn: Connection,
    settlement: Settlement,
    case: DisposalCase,
    loan: LoanFacts | None,
    division: Waterfall,
    actor: str,
) -> None:
    """What the price did not cover is owed by the debtor, who need not be the pledgor."""
    debtor = f"party:{loan.borrower_id}" if loan and loan.borrower_id else f"case:{case.case_id}"
    currency = settlement.currency
    book.post(
        conn,
        "settlement.shortfall",
        f"settlement:{settlement.settlement_id}:shortfall",
        [
            Posting(Account(AccountKind.DEBTOR_SHORTFALL, debtor, currency), division.shortfall_minor),
            *(
                Posting(_account_of(leg, case, loan, currency), leg.gets_minor - leg.due_minor)
                for leg in division.legs
                if leg.kind in {"cost", "interest", "principal"}
            ),
        ],
        case_id=case.case_id,
        lot_id=settlement.lot_id,
        actor=actor,
    )


def _account_of(leg: Leg, case: DisposalCase, loan: LoanFacts | None, currency: str) -> Account:
    if leg.kind == "cost":
        return of_case(AccountKind.DISPOSAL_COSTS, case.case_id, currency)
    if leg.kind == "junior":
        return of_case(AccountKind.JUNIOR_CLAIMS, case.case_id, currency)
    if leg.kind == "surplus":
        return _surplus_account(case, loan, currency)
    kind = AccountKind.LOAN_INTEREST if leg.kind == "interest" else AccountKind.LOAN_PRINCIPAL
    return Account(kind, f"loan:{loan.loan_id}" if loan else f"case:{case.case_id}", currency)


def _surplus_account(case: DisposalCase, loan: LoanFacts | None, currency: str) -> Account:
    pledgor = f"party:{loan.pledgor_id}" if loan and loan.pledgor_id else f"case:{case.case_id}"
    return Account(AccountKind.PLEDGOR_SURPLUS, pledgor, currency)


def pay_surplus(
    conn: Connection, settlement: Settlement, case: DisposalCase, amount: Money, reference: str, actor: str
) -> int:
    """Book that the bank paid the pledgor out of the surplus, once per bank reference; returns the entry.

    Raises:
        Conflict: so much is not owed (``insufficient_funds``).
        Rejected: another currency, an amount that is not positive, or no reference.
    """
    if amount.currency != settlement.currency:
        raise Rejected(
            f"Surplus: expected {settlement.currency}, was {amount.currency}", code="currency_mismatch"
        )
    loan = cases.loan_facts(conn, case.loan_id) if case.loan_id else None
    minor = check_amount(amount).amount_minor
    return book.post(
        conn,
        "surplus.paid",
        f"bank-out:{check_reference(reference)}",
        [
            Posting(_surplus_account(case, loan, amount.currency), minor),
            Posting(bank(amount.currency), -minor),
        ],
        case_id=case.case_id,
        lot_id=settlement.lot_id,
        actor=actor,
    )


def as_json(division: Waterfall) -> dict[str, Any]:
    """Return a division as it is kept."""
    return asdict(division)


def from_json(kept: Mapping[str, Any]) -> Waterfall:
    """Return a kept division."""
    return Waterfall(**{**kept, "legs": tuple(Leg(**leg) for leg in kept["legs"])})
