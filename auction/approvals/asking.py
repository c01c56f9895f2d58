"""Asking for a second person."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from auction.approvals import store
from auction.approvals.store import Approval
from core.errors import Conflict

if TYPE_CHECKING:
    from core.db.pool import Connection

LIFETIME = timedelta(hours=72)


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
    """Ask; the facts are shown to whoever decides and handed to the effect. Callers pass the pack's lifetime.

    Raises:
        Conflict: the same question is waiting for its answer.
    """
    store.end_expired(conn, subject, subject_id, action)
    asked = store.insert(conn, subject, subject_id, action, facts, org_id, actor, lifetime)
    if asked is None:
        raise Conflict(
            f"Expected no waiting question to {action} {subject} {subject_id}, there is one",
            code="approval_waiting",
        )
    return asked
