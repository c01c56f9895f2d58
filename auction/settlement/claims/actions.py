"""Recording what the lender and later-ranked creditors claim, and what a settlement divides among them."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING
from uuid import UUID

from auction.cases import store as cases
from auction.cases.domain import LIVE
from auction.ledger import book
from auction.ledger.domain import AccountKind, of_case
from auction.settlement.claims import store
from auction.settlement.domain import JuniorClaim, LenderClaim
from auction.settlement.waterfall import Cap, Claim, Waterfall, divide
from core.errors import Conflict, Rejected
from core.policy.pack import load_pack

if TYPE_CHECKING:
    from auction.cases.domain import DisposalCase
    from auction.domain import Lot
    from auction.settlement.domain import Settlement
    from core.db.pool import Connection

LONGEST_ACCRUAL = timedelta(days=15 * 366)
"""No vehicle loan runs longer; a mistyped year would lift the cap on interest to nothing."""


def record_lender_claim(conn: Connection, case_id: UUID, claim: LenderClaim, actor: str) -> None:
    """Append the lender's claim; the newest counts.

    Raises:
        Rejected: negative amounts, no reference, another currency, or interest from a day to come.
        Conflict: the case is over.
    """
    case = _live(conn, case_id)
    for name in ("received_minor", "principal_minor", "interest_minor"):
        if getattr(claim, name) < 0:
            raise Rejected(f"Claim: expected {name} from 0, was {getattr(claim, name)}", code="bad_amount")
    if not claim.reference.strip():
        raise Rejected("Claim: expected the reference of a statement, was empty", code="reference_missing")
    _check_currency(conn, case, claim.currency)
    today = cases.today(conn, load_pack(case.pack, case.pack_version).zone)
    if claim.accrues_from > today:
        raise Rejected(
            f"Claim: expected accrues_from until {today}, was {claim.accrues_from}", code="accrues_in_future"
        )
    oldest = today - LONGEST_ACCRUAL
    if claim.accrues_from < oldest:
        raise Rejected(
            f"Claim: expected accrues_from {oldest} or later, was {claim.accrues_from}",
            code="accrues_too_early",
        )
    store.insert_lender_claim(conn, case_id, claim, actor)


def record_junior_claim(conn: Connection, case_id: UUID, claim: JuniorClaim, actor: str) -> None:
    """Record a later-ranked claim.

    Raises:
        Rejected: an amount or rank out of range, no claimant, or another currency.
        Conflict: the rank is taken, or the case is over.
    """
    case = _live(conn, case_id)
    if claim.amount_minor <= 0 or not 1 <= claim.rank <= 99:
        raise Rejected(
            f"Claim: expected amount > 0 and rank 1 to 99, was {claim.amount_minor}, {claim.rank}",
            code="bad_amount",
        )
    if not claim.claimant.strip() or not claim.reference.strip():
        raise Rejected("Claim: expected a claimant and a reference, was empty", code="reference_missing")
    _check_currency(conn, case, claim.currency)
    if not store.insert_junior_claim(conn, case_id, claim, actor):
        raise Conflict(f"Expected a free rank, {claim.rank} is taken", code="rank_taken")


def divide_settlement(conn: Connection, settlement: Settlement, lot: Lot) -> Waterfall:
    """Return the division from what is recorded now. Preview and closing are this one path."""
    case = cases.get_case(conn, settlement.case_id)
    pack = load_pack(case.pack, case.pack_version)
    claim = claim_of(conn, case)
    assert lot.hammered_at is not None  # noqa: S101 - a settlement begins with the hammer
    until = pack.day_of(lot.hammered_at)
    days = (until - claim.accrues_from).days if claim else 0
    forfeited = of_case(AccountKind.FORFEIT_SUSPENSE, case.case_id, settlement.currency)
    return divide(
        settlement.price_minor,
        book.free_minor(conn, forfeited),
        [
            (f"{line.kind}:{line.receipt}", line.amount_minor)
            for line in store.costs_of(conn, case.case_id)
            if line.state == "accepted"
        ],
        Claim(claim.received_minor, claim.principal_minor, claim.interest_minor) if claim else Claim(0, 0, 0),
        Cap(pack.interest_cap_pct, pack.day_count, days),
        [(junior.claimant, junior.amount_minor) for junior in store.junior_claims_of(conn, case.case_id)],
    )


def claim_of(conn: Connection, case: DisposalCase) -> LenderClaim | None:
    """Return the lender's claim: the newest recorded, else what the loan's books show.

    The books do not say since when interest runs, so what they show beyond the principal is claimed with
    zero days: it is shown as excess until somebody records a statement.
    """
    recorded = store.newest_lender_claim(conn, case.case_id)
    if recorded is not None:
        return recorded
    loan = cases.loan_facts(conn, case.loan_id) if case.loan_id else None
    if loan is None:
        return None
    principal_minor = min(loan.balance_minor, loan.principal_minor)
    pack = load_pack(case.pack, case.pack_version)
    return LenderClaim(
        received_minor=loan.principal_minor,
        principal_minor=principal_minor,
        interest_minor=loan.balance_minor - principal_minor,
        accrues_from=cases.today(conn, pack.zone),
        currency=loan.currency,
        reference=f"loan {loan.loan_id}",
    )


def _live(conn: Connection, case_id: UUID) -> DisposalCase:
    case = cases.get_case(conn, case_id, lock=True)
    if case.state not in LIVE:
        raise Conflict(f"Expected a live disposal case, was {case.state}", code="case_closed")
    return case


def _check_currency(conn: Connection, case: DisposalCase, currency: str) -> None:
    loan = cases.loan_facts(conn, case.loan_id) if case.loan_id else None
    expected = loan.currency if loan else load_pack(case.pack, case.pack_version).currency
    if currency != expected:
        raise Rejected(f"Claim: expected {expected}, was {currency}", code="currency_mismatch")
