"""Settlements: what follows the hammer. Payment, division, title, handover, close."""

from __future__ import annotations

from typing import Annotated, Literal
from uuid import UUID

from fastapi import APIRouter, Path, Query, Response

from api.auth import Asker
from api.deps import Conn, Who
from api.idempotency.once import OnlyOnce
from api.paging import Cursor, Limit, Page, cut, decode
from api.resources.approvals import ApprovalOut
from api.sale.settlement_models import (
    ExtensionIn,
    HandoverIn,
    PaymentIn,
    PaymentOut,
    ReleaseCodeOut,
    SettlementOut,
    StepIn,
    StepOut,
    StepWritten,
    WaterfallOut,
    settlement_out,
)
from auction.approvals.store import Approval
from auction.bidders import store as bidders
from auction.lots import store as lots
from auction.settlement import actions, store
from auction.settlement.domain import Settlement
from auction.title import actions as title
from core.db.pool import Connection
from core.domain.money import Money as DomainMoney
from core.errors import NotFound

router = APIRouter(prefix="/settlements", tags=["settlements"])

TitleStepName = Annotated[str, Path(min_length=1, max_length=60, pattern=r"^[a-z_]+$")]
SettlementState = Literal["awaiting_payment", "paid", "defaulted", "closed", "reversed"]


@router.get("")
def list_settlements(
    conn: Conn,
    asker: Who,
    state: Annotated[list[SettlementState] | None, Query(max_length=5)] = None,
    limit: Limit = 100,
    cursor: Cursor = None,
) -> Page[SettlementOut]:
    """List the settlements of your branches, newest first."""
    key = decode(cursor, int)
    rows = store.list_settlements(
        conn, org_ids=asker.org_ids, states=list(state) if state else None,
        before_number=int(key[0]) if key else None, limit=limit + 1,
    )  # fmt: skip
    shown, following = cut(rows, limit, lambda settlement: (settlement.invoice_number,))
    return Page(items=[settlement_out(conn, settlement) for settlement in shown], next=following)


@router.get("/{settlement_id}")
def get_settlement(settlement_id: UUID, conn: Conn, asker: Who) -> SettlementOut:
    """Return a settlement with its payments and checklist; the buyer may see the own one."""
    return settlement_out(conn, visible_settlement(conn, asker, settlement_id))


@router.post("/{settlement_id}/payments", status_code=201)
def record_settlement_payment(settlement_id: UUID, body: PaymentIn, conn: Conn, asker: Who) -> PaymentOut:
    """Record what the bank received, once per bank reference. The whole price tells the release code, once.

    The bank's reference is the key here: no answer is kept, because it may hold that code.
    """
    own_settlement(conn, asker, settlement_id)
    outcome = actions.record_payment(
        conn, settlement_id, body.reference, DomainMoney(body.amount.amount_minor, body.amount.currency),
        body.received_at or lots.database_now(conn), asker.actor,
    )  # fmt: skip
    return PaymentOut.of(conn, outcome)


@router.post("/{settlement_id}/release-code", status_code=201)
def new_release_code(settlement_id: UUID, conn: Conn, asker: Who) -> ReleaseCodeOut:
    """Make a new release code; the one before is void."""
    own_settlement(conn, asker, settlement_id)
    return ReleaseCodeOut(release_code=actions.new_release_code(conn, settlement_id, asker.actor))


@router.post("/{settlement_id}/extension", status_code=202)
def ask_for_extension(
    settlement_id: UUID, body: ExtensionIn, conn: Conn, asker: Who, once: OnlyOnce
) -> ApprovalOut:
    """Ask a second person for more time to pay; once for a settlement, at most five days."""
    own_settlement(conn, asker, settlement_id)
    return once(
        ApprovalOut,
        lambda: ApprovalOut.of(
            actions.ask_extension(conn, settlement_id, body.days, body.reason, asker.actor)
        ),
    )


@router.get("/{settlement_id}/waterfall")
def get_waterfall(settlement_id: UUID, conn: Conn, asker: Who) -> WaterfallOut:
    """Return who gets how much: as booked once closed, before that as it would be divided now."""
    settlement = own_settlement(conn, asker, settlement_id)
    return WaterfallOut.of(settlement, actions.waterfall(conn, settlement_id))


@router.post(
    "/{settlement_id}/title-steps/{step}",
    responses={202: {"model": StepWritten, "description": "Waiving needs a second person."}},
)
def set_title_step(
    settlement_id: UUID, step: TitleStepName, body: StepIn, response: Response, conn: Conn, asker: Who
) -> StepWritten:
    """Write a step of the title transfer; the last one done makes the lot transferred."""
    own_settlement(conn, asker, settlement_id)
    written = title.set_step(conn, settlement_id, step, body.state, body.evidence, asker.actor)
    question = None
    if isinstance(written, Approval):
        response.status_code = 202
        question = ApprovalOut.of(written)
    rows = title.steps(conn, settlement_id)
    lot = lots.get_lot(conn, store.get_settlement(conn, settlement_id).lot_id)
    return StepWritten(
        step=next(StepOut.of(row) for row in rows if row.step == step), lot_state=lot.state, approval=question
    )


@router.post("/{settlement_id}/handover")
def hand_over(settlement_id: UUID, body: HandoverIn, conn: Conn, asker: Who) -> SettlementOut:
    """Give the vehicle to whoever has the release code."""
    own_settlement(conn, asker, settlement_id)
    done = title.hand_over(conn, settlement_id, body.release_code, body.odometer_km, asker.actor)
    return settlement_out(conn, done)


@router.post("/{settlement_id}/close")
def close_settlement(settlement_id: UUID, conn: Conn, asker: Who) -> SettlementOut:
    """Book the division and end the case; again is nothing."""
    own_settlement(conn, asker, settlement_id)
    return settlement_out(conn, actions.close(conn, settlement_id, asker.actor))


def own_settlement(conn: Connection, asker: Asker, settlement_id: UUID) -> Settlement:
    """Return a settlement of the asker's branches.

    Raises:
        NotFound: there is none, or it belongs to another branch.
    """
    settlement = store.get_settlement(conn, settlement_id)
    org_id = lots.get_lot(conn, settlement.lot_id).org_id
    asker.require_org(org_id, f"a settlement with id {settlement_id}")
    return settlement


def visible_settlement(conn: Connection, asker: Asker, settlement_id: UUID) -> Settlement:
    """Return a settlement of the asker's branches, or the one they have to pay.

    Raises:
        NotFound: there is none, or it is somebody else's.
    """
    if asker.may("list_settlements"):
        return own_settlement(conn, asker, settlement_id)
    settlement = store.get_settlement(conn, settlement_id)
    buyer = bidders.get_registration(conn, settlement.registration_id).bidder_id
    if bidders.get_bidder(conn, buyer).actor != asker.actor:
        raise NotFound(f"Expected a settlement of yours, found none with id {settlement_id}")
    return settlement
