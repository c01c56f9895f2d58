"""What happened on a lot, in order and without a gap: as a list, as the bid history, as a stream."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated
from uuid import UUID

from anyio import to_thread
from fastapi import APIRouter, Header, Query, Request, Response
from fastapi.responses import StreamingResponse

from api.deps import Conn, Services, Wired, address_of
from api.paging import Cursor, Limit, Page, decode, encode
from api.sale.events import BID, bid_line, event_out
from api.sale.models import BidLine, EventOut, lot_etag
from api.sale.visitors import Visitor, visible_lot, visitor_of
from api.stream.lots import Chunk, LotStreams, Watcher, chunk, chunks
from auction.log import store
from auction.lots import store as lots
from core.clock import to_ms
from core.errors import Rejected, Unavailable

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Hashable

    from starlette.types import Receive, Scope, Send

    from auction.domain import Lot

router = APIRouter(prefix="/lots", tags=["lots"])

REPLAY_MOST = 1_000
"""Whoever is further behind reads the lot anew instead."""
STREAM = "text/event-stream"
MOST_SEQ = 2**63 - 1

After = Annotated[int | None, Query(ge=0, le=MOST_SEQ, description="Only events after this one.")]
LastEventId = Annotated[
    str | None, Header(alias="Last-Event-ID", max_length=64, description="Replay what came after this event.")
]


@router.get("/{lot_id}/bids")
def list_bids(
    lot_id: UUID,
    response: Response,
    conn: Conn,
    visitor: Visitor,
    after_seq: After = None,
    limit: Limit = 100,
    cursor: Cursor = None,
) -> Page[BidLine]:
    """List the accepted bids in order: codes and prices, no names and no maxima."""
    lot = visible_lot(conn, visitor, lot_id)
    response.headers["ETag"] = lot_etag(lot)
    key = decode(cursor, int)
    events = store.events_after(conn, lot_id, int(key[0]) if key else after_seq or 0, limit)
    following = encode(events[-1].seq) if len(events) == limit else None
    return Page(items=[bid_line(lot, event) for event in events if event.kind == BID], next=following)


@router.get("/{lot_id}/events", response_model=Page[EventOut])
async def lot_events(
    lot_id: UUID,
    request: Request,
    services: Wired,
    after: After = None,
    limit: Limit = 100,
    last_event_id: LastEventId = None,
) -> Response | Page[EventOut]:
    """List the events of a lot, or, asked with `Accept: text/event-stream`, send them as they happen.

    The stream's ids are event numbers; a client that comes back with Last-Event-ID gets what it missed, or
    `snapshot.required` when that is more than a thousand events.
    """
    streams = services.hub.lots
    if STREAM not in request.headers.get("accept", ""):
        return await to_thread.run_sync(_page, services, request, lot_id, after or 0, limit)
    if streams.closed:
        raise Unavailable("The server is shutting down; reconnect", retry_after_s=2)
    last = after if last_event_id is None else seq_of(last_event_id, lot_id)
    lot, holder, most = await to_thread.run_sync(_admit, services, request, lot_id, limiter=streams.doors)
    watcher = streams.enter(lot_id, lot.seq, holder, most)
    try:
        # Read after listening has begun: what happens in between comes twice and is sent once.
        since = lot.seq if last is None else min(last, lot.seq)
        replay = await to_thread.run_sync(_replay, services, lot, since, limiter=streams.doors)
    except BaseException:
        streams.leave(watcher)
        raise
    return _LotStream(streams, watcher, chunks(watcher, replay, since, lambda: sign_of_life(services)))


class _LotStream(StreamingResponse):
    """Gives its place back however it ends, also when nobody ever reads it."""

    media_type = STREAM

    def __init__(self, streams: LotStreams, watcher: Watcher, content: AsyncIterator[bytes]) -> None:
        super().__init__(content, headers={"X-Accel-Buffering": "no"})
        self._streams, self._watcher = streams, watcher

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._streams.leave(self._watcher)


def _page(services: Services, request: Request, lot_id: UUID, after: int, limit: int) -> Page[EventOut]:
    with services.pool.connection() as conn:
        visible_lot(conn, visitor_of(request, conn), lot_id)
        events = store.events_after(conn, lot_id, after, limit + 1)
    shown = events[:limit]
    following = encode(shown[-1].seq) if len(events) > limit else None
    return Page(items=list(map(event_out, shown)), next=following)


def _admit(services: Services, request: Request, lot_id: UUID) -> tuple[Lot, Hashable, int]:
    """Return the lot, whose streams to count, and how many they may have."""
    with services.pool.connection() as conn:
        visitor = visitor_of(request, conn)
        lot = visible_lot(conn, visitor, lot_id)
    settings = services.settings
    if visitor is None:
        return lot, (lot_id, "address", address_of(request)), settings.lot_streams_per_address
    return lot, (lot_id, "account", visitor.actor), settings.lot_streams_per_account


def _replay(services: Services, lot: Lot, since: int) -> list[Chunk]:
    with services.pool.connection() as conn:
        events = store.events_after(conn, lot.lot_id, since, REPLAY_MOST + 1)
        if len(events) <= REPLAY_MOST:
            return list(map(chunk, events))
        newest = lots.get_lot(conn, lot.lot_id).seq
    data = json.dumps({"lot_id": str(lot.lot_id), "seq": newest})
    return [Chunk(newest, f"id: {newest}\nevent: snapshot.required\ndata: {data}\n\n".encode())]


def seq_of(last_event_id: str, lot_id: UUID) -> int:
    """Return the number in ``{seq}`` or ``{lot}:{seq}``.

    Raises:
        Rejected: it is neither, or of another lot (``bad_event_id``).
    """
    before, colon, text = last_event_id.rpartition(":")
    digits = text if not colon or before == str(lot_id) else ""
    if not digits.isascii() or not digits.isdigit() or int(digits) > MOST_SEQ:
        raise Rejected(f"Expected the id of an event of this lot, was {last_event_id!r}", code="bad_event_id")
    return int(digits)


def sign_of_life(services: Services) -> bytes:
    """Return a comment that carries the server's time in milliseconds."""
    try:
        return f": time {to_ms(services.database_time())}\n\n".encode()
    except Unavailable:
        return b": time unknown\n\n"
