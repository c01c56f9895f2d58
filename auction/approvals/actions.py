"""Deciding. An approval takes effect in the transaction that decides it, or not at all."""

from __future__ import annotations

from typing import TYPE_CHECKING
from uuid import UUID

from auction.approvals import store
from auction.approvals.effects import EFFECTS
from auction.approvals.store import Approval
from collateral.staff.persons import same_person
from core.errors import Conflict, Forbidden, Rejected

if TYPE_CHECKING:
    from core.db.pool import Connection


def decide(conn: Connection, approval_id: UUID, approve: bool, reason: str, actor: str) -> Approval:
    """Approve and carry out, or refuse. The asker may take the question back, never approve it.

    Raises:
        Forbidden: the asker approves (``same_person``).
        Conflict: it was decided or has expired, or what it asks for is no longer possible.
        Rejected: a refusal without a reason.
    """
    approval = store.get(conn, approval_id, lock=True)
    if approval.decision is not None:
        raise Conflict(f"Expected a waiting question, was {approval.decision}", code="already_decided")
    if store.is_expired(conn, approval_id):
        raise Conflict(
            f"Expected an answer until {approval.expires_at.isoformat()}, that is past", code="expired"
        )
    if approve and same_person(actor, approval.asked_by):
        raise Forbidden("Expected a second person, was the one who asked", code="same_person")
    if not approve and not reason.strip():
        raise Rejected("Refusal: expected a reason, was empty", code="reason_missing")
    effect = EFFECTS[approval.subject, approval.action]
    store.decide(conn, approval_id, "approved" if approve else "refused", actor, reason.strip())
    if approve:
        effect.approved(conn, approval, actor)
    elif effect.refused is not None:
        effect.refused(conn, approval, actor)
    return store.get(conn, approval_id)
