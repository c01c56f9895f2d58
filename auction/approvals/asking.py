"""Asking for a second person."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from auction.approvals import store
from auction.approvals.store import Approval
from core.errors import Conflict, Rejected

if TYPE_CHECKING:
    from datetime import timedelta

    from core.db.pool import Connection

ACTIONS = frozenset({
    ("lot", "suspend"),
    ("lot", "resume"),
    ("lot", "withdraw"),
    ("title_step", "waive"),
    ("cost", "accept"),
    ("settlement", "extend_pay_by"),
})  # fmt: skip
"""What needs four eyes. (Publishing a lot does too: its reviewer is the second.)"""


def ask(
    conn: Connection,
    subject: str,
    subject_id: str,
    action: str,
    facts: Mapping[str, Any],
    org_id: str,
    actor: str,
    *,
    lifetime: timedelta,
) -> Approval:
    """Ask; the facts are shown to whoever decides and handed to the effect. ``lifetime``: the pack's.

    Raises:
        Rejected: no such action.
        Conflict: the same question is waiting for its answer.
    """
    if (subject, action) not in ACTIONS:
        raise Rejected(
            f"Expected an action that needs approval, was {subject} {action}", code="unknown_action"
        )
    store.end_expired(conn, subject, subject_id, action)
    asked = store.insert(conn, subject, subject_id, action, facts, org_id, actor, lifetime)
    if asked is None:
        raise Conflict(
            f"Expected no waiting question to {action} {subject} {subject_id}, there is one",
            code="approval_waiting",
        )
    return asked
