"""Lots: public once published. Staff of the branch draft, edit and move them, some steps with four eyes."""

from __future__ import annotations

import heapq
from typing import Annotated, Any, Literal
from uuid import UUID

from fastapi import APIRouter, Query, Request, Response
from pydantic import AwareDatetime, BaseModel, Field

from api.auth import Asker
from api.deps import Conn, IfMatch, Who, Wired
from api.paging import Cursor, Limit, Page, cut, decode_moment_and_id
from api.resources.approvals import ApprovalOut
from api.sale.lots import lot_out, lots_out
from api.sale.models import Body, Line, LotOut, PositiveMinor, Reason, State, Text, lot_etag
from api.sale.visitors import (
    HIDDEN_STATES,
    Visitor,
    is_public,
    own_lot,
    sees_drafts,
    visible_lot,
)
from auction.approvals.asking import ask
from auction.domain import PUBLIC_STATES, Lot
from auction.lots import actions, store
from auction.protocol import export
from auction.protocol.signing import protocol_key
from auction.transitions import check_edge
from core.db.pool import Connection
from core.errors import Conflict, PreconditionMissing, Rejected, Stale
from core.policy.pack import load_pack

public = APIRouter(prefix="/lots", tags=["lots"])
router = APIRouter(prefix="/lots", tags=["lots"])

DIRECT = {"submit": actions.submit, "publish": actions.publish, "send_back": actions.send_back}
"""Publishing has its four eyes built in: whoever drafted, edited or submitted may not."""
ReasonClass = Literal[
    "stay", "bankruptcy", "title_defect", "material_error", "fire_or_theft", "loan_changed", "other"
]


class LotEdit(Body):
    """What may be changed while a lot is a draft; a field that is left out stays."""

    title: Line | None = None
    description: Text | None = None
    defects: Text | None = None
    start_minor: PositiveMinor | None = None
    reserve_minor: PositiveMinor | None = None
    deposit_minor: PositiveMinor | None = None
    starts_at: AwareDatetime | None = None
    ends_at: AwareDatetime | None = None


class TransitionIn(Body):
    """A step in the life of a lot. ``reason_class`` is what the public reads, ``reason`` what staff read."""

    action: Literal["submit", "publish", "send_back", "suspend", "resume", "withdraw"]
    reason: Reason | None = None
    reason_class: ReasonClass | None = None


class TransitionOut(BaseModel):
    """Where the lot stands, and the question that a second person has to answer, if there is one."""

    lot: LotOut
    approval: ApprovalOut | None = Field(default=None, description="Present with 202: not done yet.")


@public.get("")
def list_lots(
    conn: Conn,
    visitor: Visitor,
    services: Wired,
    response: Response,
    state: Annotated[list[State] | None, Query(max_length=13)] = None,
    limit: Limit = 100,
    cursor: Cursor = None,
) -> Page[LotOut]:
    """List lots by their start; staff also see the drafts of their branches."""
    key = decode_moment_and_id(cursor)
    shown_states = [name for name in PUBLIC_STATES if state is None or name in state]
    rows = store.list_lots(conn, states=shown_states, after=key, limit=limit + 1) if shown_states else []
    hidden = [name for name in HIDDEN_STATES if state is None or name in state]
    if hidden and visitor is not None and sees_drafts(visitor):
        drafts = store.list_lots(conn, org_ids=visitor.org_ids, states=hidden, after=key, limit=limit + 1)
        rows = list(heapq.merge(rows, drafts, key=lambda lot: (lot.starts_at, lot.lot_id)))[: limit + 1]
    shown, following = cut(rows, limit, lambda lot: (lot.starts_at.isoformat(), str(lot.lot_id)))
    seen = [lot for lot in shown if is_public(lot) or (visitor is not None and lot.org_id in visitor.org_ids)]
    if following is not None:
        response.headers["Link"] = f'<?cursor={following}>; rel="next"'
    return Page(items=lots_out(conn, seen, services.database_time()), next=following)


@public.get("/{lot_id}", response_model=LotOut, responses={304: {"description": "Nothing happened since."}})
def get_lot(
    lot_id: UUID, request: Request, response: Response, conn: Conn, visitor: Visitor, services: Wired
) -> LotOut | Response:
    """Return a lot. The ETag is its event number: ask with If-None-Match while you wait for the next bid."""
    lot = visible_lot(conn, visitor, lot_id)
    response.headers["ETag"] = lot_etag(lot)
    if matches(request.headers.get("if-none-match"), lot_etag(lot)):
        return Response(status_code=304, headers={"ETag": lot_etag(lot)})
    return lot_out(conn, lot, services.database_time())


@public.get("/{lot_id}/protocol")
def get_protocol(
    lot_id: UUID, conn: Conn, visitor: Visitor, services: Wired, full: Annotated[bool, Query()] = False
) -> dict[str, Any]:
    """Return the protocol of a decided lot, which anybody can check offline; auditors get the full one.

    Raises:
        Conflict: the lot is not decided yet (``not_closed``).
    """
    lot = visible_lot(conn, visitor, lot_id)
    if not lot.decided:
        raise Conflict(f"Expected a lot that is decided, was {lot.state}", code="not_closed")
    may_see_all = visitor is not None and visitor.may("list_audit") and lot.org_id in visitor.org_ids
    return export.export(conn, lot_id, key=protocol_key(services.settings), full=full and may_see_all)


@router.patch("/{lot_id}")
def edit_lot(
    lot_id: UUID,
    body: LotEdit,
    response: Response,
    conn: Conn,
    asker: Who,
    services: Wired,
    if_match: IfMatch = None,
) -> LotOut:
    """Change a draft."""
    own_lot(conn, asker, lot_id)
    lot = store.get_lot(conn, lot_id, lock=True)
    check_unchanged(if_match, lot)
    edited = actions.edit(conn, lot_id, body.model_dump(exclude_unset=True), asker.actor)
    response.headers["ETag"] = lot_etag(edited)
    return lot_out(conn, edited, services.database_time())


@router.post(
    "/{lot_id}/transitions",
    responses={202: {"model": TransitionOut, "description": "A second person has to agree first."}},
)
def move_lot(
    lot_id: UUID,
    body: TransitionIn,
    response: Response,
    conn: Conn,
    asker: Who,
    services: Wired,
    if_match: IfMatch = None,
) -> TransitionOut:
    """Move a lot on. Suspending, resuming and withdrawing wait for a second person (202)."""
    lot = own_lot(conn, asker, lot_id)
    if if_match is not None:
        check_unchanged(if_match, lot)
    moved, question = move(conn, asker, lot, body)
    if question is not None:
        response.status_code = 202
    response.headers["ETag"] = lot_etag(moved)
    return TransitionOut(lot=lot_out(conn, moved, services.database_time()), approval=question)


def move(conn: Connection, asker: Asker, lot: Lot, body: TransitionIn) -> tuple[Lot, ApprovalOut | None]:
    """Do a transition, or ask for the approval that it needs."""
    if body.action in DIRECT:
        return DIRECT[body.action](conn, lot.lot_id, asker.actor), None
    if body.reason is None and body.action != "resume":
        raise Rejected(f"Expected a reason to {body.action} a lot, was none", code="reason_required")
    check_edge(lot, body.action)
    question = ask(
        conn, "lot", str(lot.lot_id), body.action,
        {"reason": body.reason_class or body.reason or "", "note": body.reason or ""},
        lot.org_id, asker.actor, lifetime=load_pack(lot.pack, lot.pack_version).approval_expiry,
    )  # fmt: skip
    return lot, ApprovalOut.of(question)


def matches(sent: str | None, tag: str) -> bool:
    """Whether an If-None-Match header names a tag."""
    if sent is None:
        return False
    return sent.strip() == "*" or tag in {part.strip().removeprefix("W/") for part in sent.split(",")}


def check_unchanged(if_match: str | None, lot: Lot) -> None:
    """Refuse an edit made from an old reading.

    Raises:
        PreconditionMissing: the header is absent (428).
        Stale: something happened since (412).
    """
    if if_match is None:
        raise PreconditionMissing("Expected an If-Match header with the ETag that was read, was missing")
    if not matches(if_match, lot_etag(lot)):
        raise Stale(f"Expected {lot_etag(lot)}, was {if_match}: read it again", current=lot_etag(lot))
