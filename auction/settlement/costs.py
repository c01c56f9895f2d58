"""Costs of the disposal, each with its receipt. What all lines of a kind come to beyond the pack's cap waits
for a second person, so that many small lines are not a way around it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING
from uuid import UUID

from auction.approvals.asking import ask
from auction.approvals.store import list_approvals
from auction.cases import store as cases
from auction.cases.domain import LIVE
from auction.deposits.wallets import check_amount
from auction.settlement.claims import store
from auction.settlement.domain import Cost
from core.domain.money import Money
from core.errors import Conflict, Rejected
from core.policy.pack import load_pack

if TYPE_CHECKING:
    from auction.cases.domain import DisposalCase
    from core.db.pool import Connection
    from core.policy.pack import Pack


def add_cost(conn: Connection, case_id: UUID, kind: str, amount: Money, receipt: str, actor: str) -> Cost:
    """Record a cost; above the cap it waits and a question is asked. The same receipt again is nothing.

    Raises:
        Rejected: an unknown kind, no receipt, an amount that is not positive, or another currency.
        Conflict: the case is over, or the receipt was recorded with another amount.
    """
    case = cases.get_case(conn, case_id, lock=True)
    if case.state not in LIVE:
        raise Conflict(f"Expected a live disposal case, was {case.state}", code="case_closed")
    pack = load_pack(case.pack, case.pack_version)
    if kind not in pack.cost_caps:
        raise Rejected(
            f"Cost: expected one of {', '.join(pack.cost_caps)}, was {kind!r}", code="bad_cost_kind"
        )
    if not receipt.strip():
        raise Rejected("Cost: expected the number of a receipt, was empty", code="receipt_missing")
    minor = check_amount(amount).amount_minor
    loan = cases.loan_facts(conn, case.loan_id) if case.loan_id else None
    currency = loan.currency if loan else pack.currency
    if amount.currency != currency:
        raise Rejected(f"Cost: expected {currency}, was {amount.currency}", code="currency_mismatch")
    sum_minor = sum(
        line.amount_minor
        for line in store.costs_of(conn, case_id)
        if line.kind == kind and line.state != "refused"
    )
    above = sum_minor + minor > pack.cost_caps[kind]
    written = store.insert_cost(
        conn, case_id, kind, minor, currency, receipt.strip(), "waiting" if above else "accepted", actor
    )
    if written is None:
        known = store.cost_by_receipt(conn, case_id, kind, receipt.strip())
        assert known is not None  # noqa: S101 - the insert found it, and lines never go
        if known.amount_minor != minor:
            raise Conflict(
                f"Receipt {receipt}: expected {known.amount_minor} as before, was {minor}",
                code="receipt_differs",
            )
        if known.state == "waiting" and not _is_asked(conn, known):
            _ask(conn, case, pack, known, sum_minor, actor)  # nobody answered in time
        return known
    if above:
        _ask(conn, case, pack, written, sum_minor + minor, actor)
    return written


def settle_waiting(conn: Connection, cost_id: UUID, *, accepted: bool) -> None:
    """Accept or refuse a waiting line; only the second person's decision comes here.

    Raises:
        Conflict: the line is not waiting, or the case is over.
    """
    line = store.get_cost(conn, cost_id)
    case = cases.get_case(conn, line.case_id, lock=True)
    line = store.get_cost(conn, cost_id, lock=True)
    if line.state != "waiting":
        raise Conflict(f"Expected a waiting line of costs, was {line.state}", code="cost_decided")
    if case.state not in LIVE:
        raise Conflict(f"Expected a live disposal case, was {case.state}", code="case_closed")
    store.set_cost_state(conn, cost_id, "accepted" if accepted else "refused")


def _is_asked(conn: Connection, line: Cost) -> bool:
    return bool(list_approvals(conn, waiting=True, subject="cost", subject_id=str(line.cost_id)))


def _ask(conn: Connection, case: DisposalCase, pack: Pack, line: Cost, sum_minor: int, actor: str) -> None:
    facts = {
        "case_id": str(case.case_id), "kind": line.kind, "amount_minor": line.amount_minor,
        "currency": line.currency, "cap_minor": pack.cost_caps[line.kind], "sum_minor": sum_minor,
        "receipt": line.receipt,
    }  # fmt: skip
    ask(conn, "cost", str(line.cost_id), "accept", facts, case.org_id, actor, lifetime=pack.approval_expiry)
