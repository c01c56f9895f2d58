"""What each approval does: an effect for every action of `asking.ACTIONS`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING
from uuid import UUID

from auction.lots import actions as lots
from auction.settlement import costs, extension
from auction.title import actions as title

if TYPE_CHECKING:
    from auction.approvals.store import Approval
    from core.db.pool import Connection

Step = Callable[["Connection", "Approval", str], None]


@dataclass(frozen=True, slots=True)
class Effect:
    """What a decision does."""

    approved: Step
    refused: Step | None = None


def _suspend(conn: Connection, approval: Approval, actor: str) -> None:
    lots.suspend(conn, UUID(approval.subject_id), str(approval.facts.get("reason", "")), actor)


def _resume(conn: Connection, approval: Approval, actor: str) -> None:
    lots.resume(conn, UUID(approval.subject_id), actor)


def _withdraw(conn: Connection, approval: Approval, actor: str) -> None:
    lots.withdraw(conn, UUID(approval.subject_id), str(approval.facts.get("reason", "")), actor)


def _waive(conn: Connection, approval: Approval, actor: str) -> None:
    settlement_id, _, step = approval.subject_id.partition(":")
    title.waive(conn, UUID(settlement_id), step, str(approval.facts["evidence"]), actor)


def _accept_cost(conn: Connection, approval: Approval, actor: str) -> None:
    costs.settle_waiting(conn, UUID(approval.subject_id), accepted=True)


def _refuse_cost(conn: Connection, approval: Approval, actor: str) -> None:
    costs.settle_waiting(conn, UUID(approval.subject_id), accepted=False)


def _extend(conn: Connection, approval: Approval, actor: str) -> None:
    extension.extend_pay_by(conn, UUID(approval.subject_id), int(approval.facts["days"]))


EFFECTS: Mapping[tuple[str, str], Effect] = {
    ("lot", "suspend"): Effect(_suspend),
    ("lot", "resume"): Effect(_resume),
    ("lot", "withdraw"): Effect(_withdraw),
    ("title_step", "waive"): Effect(_waive),
    ("cost", "accept"): Effect(_accept_cost, _refuse_cost),
    ("settlement", "extend_pay_by"): Effect(_extend),
}
