"""How urgent a finding is, given what is owed (reference/telematics.md c0, loan modifier)."""

from __future__ import annotations

from alerts.domain import LoanPressure, RulePolicy
from core.domain.finding import Severity

OVERDUE_RAISES_ALL_DAYS = 30
"""From here every rule rises one level; from day 1 only the loan-sensitive ones do."""


def severity_with_loan(
    base: Severity, policy: RulePolicy, loan: LoanPressure | None
) -> tuple[Severity, list[str]]:
    """Return the severity to work by, and the reasons it differs from the rule's own.

    A paid loan never pages anybody: what it still raises is for the record (P4).
    """
    if loan is None:
        return base, []
    if loan.status == "paid":
        return Severity.P4, ["loan_paid"]
    if loan.days_past_due >= OVERDUE_RAISES_ALL_DAYS:
        return base.raised(1), [f"days_past_due_{loan.days_past_due}"]
    if loan.promise_broken:
        return base.raised(1), ["promise_broken"]
    if loan.days_past_due >= 1 and policy.loan_sensitive:
        return base.raised(1), [f"days_past_due_{loan.days_past_due}"]
    return base, []
