"""Bids. Judged by when they arrived, answered once, and never waiting for anything before the stamp."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime
from http import HTTPStatus
from typing import Annotated, Any, Literal
from uuid import UUID

import anyio
from anyio import to_thread
from fastapi import APIRouter, Depends, Header, Request, Response
from pydantic import BaseModel, Field, model_validator

from api.auth import Asker, identify, require_role
from api.board.models import Money
from api.deps import Services, Wired
from api.idempotency.verbatim import Answered, decide_once, fingerprint
from api.problem import MEDIA_TYPE, Problem
from api.sale.ingress import arrived_at
from api.sale.models import Body, MoneyIn, PositiveMinor
from api.sale.visitors import visible_lot
from auction.bidders import store as bidders
from auction.bids import place
from auction.domain import BidAccepted, BidRefused, Lot, Rejection
from collateral.domain import Role
from core.db.pool import Connection
from core.errors import Rejected, Unavailable

router = APIRouter(tags=["bids"])

LONGEST_DRAIN_S = 60
"""No lot may have a longer one; each lot's own is checked once the request reaches the database."""


class BidIn(Body):
    """At most so much. ``proxy`` bids step by step up to it, ``exact`` makes it the price at once."""

    max: MoneyIn | None = None
    max_minor: PositiveMinor | None = None
    mode: Literal["exact", "proxy"] = "proxy"
    expected_price_minor: PositiveMinor | None = Field(
        default=None, description="Refuse with 412 if the price is another by now."
    )
    confirm_high: Annotated[bool, Field(strict=True)] = False

    @model_validator(mode="after")
    def _one_maximum(self) -> BidIn:
        if (self.max is None) == (self.max_minor is None):
            raise ValueError("expected exactly one of max and max_minor")
        return self

    @property
    def amount_minor(self) -> int:
        """Return the maximum."""
        return self.max.amount_minor if self.max is not None else self.max_minor or 0


class BidOut(BaseModel):
    """What became of it. ``own_max`` is in no other answer than those to the bidder."""

    bid_id: UUID
    seq: int
    status: Literal["leading", "outbid"]
    price: Money
    min_next: Money
    ends_at: datetime
    extended: bool
    own_max: Money
    lot_seq: int
    arrived_at: datetime
    server_time: datetime


class BidProblem(Problem):
    """A refusal, with what the next bid needs to know."""

    lot_seq: int | None = None
    min_next_minor: int | None = None
    server_time: datetime | None = None
    arrived_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Call:
    """A bidder with a connection whose transaction is the bid."""

    conn: Connection
    asker: Asker
    arrived_at: datetime


async def bidding(request: Request, services: Wired) -> AsyncIterator[Call]:
    """Lend a connection, as api/deps.transaction does, but stamped before and with a bound on the wait.

    Raises:
        Unavailable: the wait was longer than any lot's drain (``busy``).
    """
    with anyio.move_on_after(LONGEST_DRAIN_S) as waiting:
        await services.connections.acquire()
    if waiting.cancelled_caught:
        raise _busy()
    try:
        context = services.pool.connection()
        conn, asker = await to_thread.run_sync(_enter, context, request)
        try:
            yield Call(conn, asker, arrived_at(request))
        except BaseException as exc:
            with anyio.CancelScope(shield=True):
                await to_thread.run_sync(context.__exit__, type(exc), exc, exc.__traceback__)
            raise
        else:
            with anyio.CancelScope(shield=True):
                await to_thread.run_sync(context.__exit__, None, None, None)
    finally:
        services.connections.release()


def _enter(context: AbstractContextManager[Connection], request: Request) -> tuple[Connection, Asker]:
    conn = context.__enter__()
    try:
        asker = identify(conn, request)
        require_role(request, asker)
    except BaseException as exc:
        context.__exit__(type(exc), exc, exc.__traceback__)
        raise
    return conn, asker


Bidding = Annotated[Call, Depends(bidding, scope="function")]
BidKey = Annotated[
    str | None,
    Header(
        alias="Idempotency-Key", min_length=1, max_length=200, pattern=r"^[\x21-\x7e]+$",
        description="Required. One for each attempt; repeat it when no answer came, and the bid counts once.",
    ),
]  # fmt: skip


@router.post("/lots/{lot_id}/bids", status_code=201, response_model=BidOut)
async def place_bid(
    lot_id: UUID, body: BidIn, request: Request, call: Bidding, services: Wired, key: BidKey = None
) -> Response:
    """Bid. 201 says how it stood when it was decided; a refusal says the least that would count now."""
    if key is None:
        raise Rejected(
            "Expected an Idempotency-Key header, was missing: a bid without one could count twice",
            code="idempotency_key_required",
        )
    services.bid_rate.take((call.asker.actor, lot_id))
    print_ = fingerprint(request.method, request.url.path, await request.body())

    def decide() -> Answered:
        return _decide(call, services, lot_id, body, request.url.path)

    def work() -> Answered:
        return decide_once(
            call.conn, actor=call.asker.actor, key=key, operation="place_bid", print_=print_, decide=decide
        )

    answered = await to_thread.run_sync(work)
    headers = {"Idempotent-Replay": "true"} if answered.replayed else {}
    if answered.status == HTTPStatus.SERVICE_UNAVAILABLE:
        headers["Retry-After"] = "1"
    return Response(
        answered.text,
        status_code=answered.status,
        headers=headers,
        media_type="application/json" if answered.status == HTTPStatus.CREATED else MEDIA_TYPE,
    )


def _decide(call: Call, services: Services, lot_id: UUID, body: BidIn, path: str) -> Answered:
    lot = visible_lot(call.conn, None, lot_id)
    if body.max is not None and body.max.currency != lot.currency:
        expected = f"Expected {lot.currency}, was {body.max.currency}"
        return _problem(422, "currency_mismatch", expected, path, _known(lot, services))
    if call.asker.roles != {Role.BIDDER}:
        # Looked at when they registered, and again here: they may have joined the seller since.
        return _problem(
            403, "excluded_party", "Expected a bidder, was staff", path, _known(lot, services)
        )  # fmt: skip
    bidder = bidders.bidder_of_actor(call.conn, call.asker.actor)
    if bidder is None:
        return _problem(
            403, Rejection.NOT_ELIGIBLE.value, "Expected a registration for this lot, there is none", path,
            _known(lot, services),
        )  # fmt: skip
    answer = place.place_bid(
        call.conn, lot_id=lot_id, bidder_id=bidder.bidder_id, max_minor=body.amount_minor, mode=body.mode,
        arrived_at=call.arrived_at, confirm_high=body.confirm_high,
        expected_price_minor=body.expected_price_minor,
    )  # fmt: skip
    if isinstance(answer, BidRefused):
        return _problem(answer.status, answer.code, answer.message, path, dict(answer.facts))
    return Answered(201, _accepted(answer).model_dump_json())


def _accepted(bid: BidAccepted) -> BidOut:
    def money(amount_minor: int) -> Money:
        return Money(amount_minor=amount_minor, currency=bid.currency)

    return BidOut(
        bid_id=bid.bid_id, seq=bid.seq, status="leading" if bid.leading else "outbid",
        price=money(bid.price_minor), min_next=money(bid.min_next_minor), ends_at=bid.ends_at,
        extended=bid.extended, own_max=money(bid.own_max_minor), lot_seq=bid.lot_seq,
        arrived_at=bid.arrived_at, server_time=bid.decided_at,
    )  # fmt: skip


def _problem(status: int, code: str, detail: str, path: str, facts: dict[str, Any]) -> Answered:
    body = BidProblem(
        title=HTTPStatus(status).phrase, status=status, detail=detail, code=code, instance=path,
        facts=facts, lot_seq=facts.get("lot_seq"), min_next_minor=facts.get("min_next_minor"),
        server_time=facts.get("decided_at"), arrived_at=facts.get("arrived_at"),
    )  # fmt: skip
    return Answered(status, body.model_dump_json())


def _known(lot: Lot, services: Services) -> dict[str, Any]:
    return {
        "lot_seq": lot.seq,
        "min_next_minor": lot.min_next_minor,
        "decided_at": services.database_time().isoformat(),
    }


def _busy() -> Unavailable:
    return Unavailable(
        "Expected a free connection in time, there was none: bid again", code="busy", retry_after_s=1
    )
