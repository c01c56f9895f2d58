"""May the vehicle still be taken? The books are asked at each step: a payment may arrive in between."""

from __future__ import annotations

from typing import TYPE_CHECKING

from collateral.domain import LoanStatus
from collateral.loans import store as loans
from core.errors import Conflict

if TYPE_CHECKING:
    from collateral.loans.store import LoanRow
    from core.db.pool import Connection

STANDING = frozenset({LoanStatus.ACTIVE, LoanStatus.OVERDUE, LoanStatus.WRITTEN_OFF})
IN_THE_WAY = (LoanStatus.DISPUTED, LoanStatus.EXTENDED)


def require_claim(conn: Connection, vehicle_id: str) -> LoanRow:
    """Return the loan that a recovery stands on; the books of the vehicle hold still until the commit.

    A vehicle with an old paid loan and a new overdue one may be taken; one with a disputed or extended
    loan beside may not. The loan with the most days past due is the claim.

    Raises:
        Conflict: nothing is owed any more, or not now: ``loan_missing``, ``loan_paid``, ``loan_disputed``,
            ``loan_extended``.
    """
    rows = loans.loans_of_vehicle(conn, vehicle_id, hold=True)
    for status in IN_THE_WAY:
        named = [row.loan_id for row in rows if row.status == status]
        if named:
            raise Conflict(
                f"Expected a claim that may be enforced, loan {named[0]} is {status}",
                code=f"loan_{status}", loan_id=named[0],
            )  # fmt: skip
    standing = [row for row in rows if row.status in STANDING and row.balance_minor > 0]
    if standing:
        return max(standing, key=lambda row: (row.days_past_due, row.loan_id))
    if rows:
        raise Conflict(
            f"Expected a claim that may be enforced, loan {rows[0].loan_id} is paid",
            code="loan_paid", loan_id=rows[0].loan_id,
        )  # fmt: skip
    raise Conflict(f"Expected a loan on vehicle {vehicle_id}, there is none", code="loan_missing")
