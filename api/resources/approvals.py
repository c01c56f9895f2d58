"""Four eyes: what waits for a second person, and that person's decision, which carries it out."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from fastapi import APIRouter, Query
from pydantic import BaseModel, Field

from api.deps import Conn, Who
from api.paging import Limit, Page
from api.sale.models import Body, Text
from auction.approvals import actions, store
from auction.approvals.store import Approval
from core.db.pool import Connection

router = APIRouter(prefix="/approvals", tags=["approvals"])


class DecisionIn(Body):
    """The answer. A refusal says why."""

    approve: Annotated[bool, Field(strict=True)]
    reason: Text = ""


class ApprovalOut(BaseModel):
    """A question to a second person; ``decision`` is null while it waits."""

    id: UUID
    subject: str
    subject_id: str
    action: str
    facts: dict[str, Any]
    org_id: str
    asked_by: str
    asked_at: datetime
    expires_at: datetime
    decision: str | None
    decided_by: str | None
    decided_at: datetime | None
    reason: str

    @classmethod
    def of(cls, approval: Approval) -> ApprovalOut:
        """Build from the domain's question."""
        return cls(
            id=approval.approval_id, subject=approval.subject, subject_id=approval.subject_id,
            action=approval.action, facts=approval.facts, org_id=approval.org_id,
            asked_by=approval.asked_by, asked_at=approval.asked_at, expires_at=approval.expires_at,
            decision=approval.decision, decided_by=approval.decided_by, decided_at=approval.decided_at,
            reason=approval.reason,
        )  # fmt: skip


@router.get("")
def list_approvals(
    conn: Conn,
    asker: Who,
    waiting: Annotated[bool, Query(description="Only those that can still be answered.")] = False,
    subject: Annotated[Literal["lot", "case", "settlement", "title_step", "cost"] | None, Query()] = None,
    subject_id: Annotated[str | None, Query(max_length=120, pattern=r"^[^\x00]*$")] = None,
    limit: Limit = 100,
) -> Page[ApprovalOut]:
    """List the questions of your branches, newest first."""
    found = store.list_approvals(
        conn, org_ids=asker.org_ids, waiting=waiting, subject=subject, subject_id=subject_id, limit=limit
    )
    return Page(items=list(map(ApprovalOut.of, found)))


@router.post("/{approval_id}/decision")
def decide_approval(approval_id: UUID, body: DecisionIn, conn: Conn, asker: Who) -> ApprovalOut:
    """Approve, which does what was asked, or refuse. Whoever asked may only take the question back."""
    asker.require_org(question_org(conn, approval_id), f"an approval with id {approval_id}")
    return ApprovalOut.of(actions.decide(conn, approval_id, body.approve, body.reason, asker.actor))


def question_org(conn: Connection, approval_id: UUID) -> str:
    """Return the branch in which a question is asked."""
    return store.get(conn, approval_id).org_id
