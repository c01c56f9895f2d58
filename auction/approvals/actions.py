"""Asking and deciding. An approval takes effect in the transaction that decides it, or not at all."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import TYPE_CHECKING, Any
from uuid import UUID

from auction.approvals import store
from auction.approvals.asking import LIFETIME
from auction.approvals.asking import ask as ask_any
from auction.approvals.effects import EFFECTS, Effect
from auction.approvals.store import Approval
from collateral.staff.persons import same_person
from core.errors import Conflict, Forbidden, Rejected

if TYPE_CHECKING:
    from core.db.pool import Connection

__all__ = ["ask", "decide"]


def ask(
    conn: Connection,
    subject: str,
    subject_id: str,
    action: str,
    facts: Mapping[str, Any],
    org_id: str,
    actor: str,
    *,
    lifetime: timedelta = LIFETIME,
) -> Approval:
    """Ask for a second person, for an action of the table `EFFECTS`.

    Raises:
        Rejected: no such action.
        Conflict: the same question is waiting for its answer.
    """
    _effect_of(subject, action)
    return ask_any(conn, subject, subject_id, action, facts, org_id, actor, lifetime=lifetime)


def decide(conn: Connection, approval_id: UUID, approve: bool, reason: str, actor: str) -> Approval:
    """Approve and carry out, or refuse. The asker may take the question back, never approve it.

    Raises:
        Forbidden: the asker approves (``same_person``).
        Conflict: it was decided or has expired, or what it asks for is no longer possible.
        Rejected: an unknown action, or a refusal without a reason.
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
    effect = _effect_of(approval.subject, approval.action)
    store.decide(conn, approval_id, "approved" if approve else "refused", actor, reason.strip())
    if approve:
        effect.approved(conn, approval, actor)
    elif effect.refused is not None:
        effect.refused(conn, approval, actor)
    return store.get(conn, approval_id)


def _effect_of(subject: str, action: str) -> Effect:
    effect = EFFECTS.get((subject, action))
    if effect is None:
        raise Rejected(
            f"Expected an action that needs approval, was {subject} {action}", code="unknown_action"
        )
    return effect
