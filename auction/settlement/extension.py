"""One extension of the time to pay, by a second person's decision, of at most five days."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING
from uuid import UUID

from auction.approvals.asking import ask
from auction.approvals.store import list_approvals
from auction.lots import store as lots
from auction.settlement import store
from auction.settlement.domain import Settlement, SettlementState
from core.errors import Conflict, Rejected
from core.policy.pack import load_pack

if TYPE_CHECKING:
    from auction.approvals.store import Approval
    from core.db.pool import Connection

MOST_DAYS = 5


def ask_extension(conn: Connection, settlement_id: UUID, days: int, reason: str, actor: str) -> Approval:
    """Ask for more time to pay.

    Raises:
        Rejected: days out of range, or no reason.
        Conflict: it is not waiting for payment, was extended before, or the question waits already.
    """
    if not 1 <= days <= MOST_DAYS:
        raise Rejected(f"Extension: expected 1 to {MOST_DAYS} days, was {days}", code="bad_days")
    if not reason.strip():
        raise Rejected("Extension: expected a reason, was empty", code="reason_missing")
    settlement = store.get_settlement(conn, settlement_id)
    lot = lots.get_lot(conn, settlement.lot_id)
    _check(conn, settlement)
    return ask(
        conn, "settlement", str(settlement_id), "extend_pay_by", {"days": days, "reason": reason.strip()},
        lot.org_id, actor, lifetime=load_pack(lot.pack, lot.pack_version).approval_expiry,
    )  # fmt: skip


def extend_pay_by(conn: Connection, settlement_id: UUID, days: int) -> Settlement:
    """Move the day of payment; only the second person's decision comes here.

    Raises:
        Conflict: it is not waiting for payment any more.
    """
    settlement = store.get_settlement(conn, settlement_id)
    lots.get_lot(conn, settlement.lot_id, lock=True)
    settlement = store.get_settlement(conn, settlement_id, lock=True)
    if settlement.state != SettlementState.AWAITING_PAYMENT:
        raise Conflict(
            f"Expected a settlement that waits for payment, was {settlement.state}", code="not_waiting"
        )
    pay_by = settlement.pay_by + timedelta(days=days)
    store.set_pay_by(conn, settlement_id, pay_by)
    lots.arm_timer(conn, settlement.lot_id, pay_by, "pay_by")
    return store.get_settlement(conn, settlement_id)


def _check(conn: Connection, settlement: Settlement) -> None:
    if settlement.state != SettlementState.AWAITING_PAYMENT:
        raise Conflict(
            f"Expected a settlement that waits for payment, was {settlement.state}", code="not_waiting"
        )
    earlier = list_approvals(conn, subject="settlement", subject_id=str(settlement.settlement_id))
    if any(approval.decision == "approved" and approval.action == "extend_pay_by" for approval in earlier):
        raise Conflict(
            "Expected a settlement that was never extended, was extended once", code="extended_before"
        )
