"""The event streams. A client that reconnects sends Last-Event-ID and gets what it missed."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import TYPE_CHECKING, Annotated

from anyio import to_thread
from fastapi import APIRouter, Depends, Header, Request
from fastapi.sse import EventSourceResponse, ServerSentEvent

from api.access import store as access
from api.auth import Asker, identify, require_role
from api.deps import PurposeHeader, Services, Wired, address_of
from api.stream.sources import AlertSource, Signal, position_of, transaction_of
from core.errors import Unavailable

if TYPE_CHECKING:
    from core.db.pool import Connection

router = APIRouter(tags=["streams"])

RETRY_MS = 2_000

LastEventId = Annotated[
    str | None, Header(alias="Last-Event-ID", max_length=64, description="Replay what came after this event.")
]


def _stream_asker(request: Request, services: Wired) -> Asker:
    """Identify in a transaction of its own: a stream lives for hours and must not hold a connection."""
    if services.hub.closed:
        raise Unavailable("The server is shutting down; reconnect")
    with services.pool.connection() as conn:
        asker = identify(conn, request)
        require_role(request, asker)
    return asker


Listener = Annotated[Asker, Depends(_stream_asker)]


def _check_alert_id(last_event_id: LastEventId = None) -> None:
    """Refuse before the answer begins; once a stream is open it cannot become a problem any more."""
    if last_event_id:
        position_of(last_event_id)


def _check_position_id(last_event_id: LastEventId = None) -> None:
    if last_event_id:
        transaction_of(last_event_id)


@router.get("/alerts/stream", response_class=EventSourceResponse, dependencies=[Depends(_check_alert_id)])
async def stream_alerts(
    asker: Listener, services: Wired, last_event_id: LastEventId = None
) -> AsyncIterator[ServerSentEvent]:
    """Send `alert` events: what changed, who did it, and the alert as it is now."""
    async for event in _events(services, asker, "alerts", last_event_id, AlertSource.replay):
        yield event


def _log_live_view(request: Request, asker: Listener, services: Wired, purpose: PurposeHeader) -> None:
    """Record a live view of all the asker's branches, once per connection."""
    with services.pool.connection() as conn:
        access.record(
            conn, actor=asker.actor, purpose=purpose, resource="positions/stream", ip=address_of(request),
            org_ids=asker.org_ids,
        )  # fmt: skip


@router.get(
    "/positions/stream",
    response_class=EventSourceResponse,
    dependencies=[Depends(_check_position_id), Depends(_log_live_view)],
)
async def stream_positions(
    asker: Listener, services: Wired, last_event_id: LastEventId = None
) -> AsyncIterator[ServerSentEvent]:
    """Send `position` events: a device's newest fix, as soon as it is stored."""
    async for event in _events(services, asker, "positions", last_event_id, services.hub.positions.replay):
        yield event


async def _events(
    services: Services,
    asker: Asker,
    channel: str,
    last_event_id: str | None,
    replay: Callable[[Connection, str], list[Signal]],
) -> AsyncIterator[ServerSentEvent]:
    """Yield the replay, then what is live, without a gap and without repeats between the two."""
    # Listening starts before the client knows that it is connected, and before the replay is read.
    with services.hub.subscribed(channel, asker.org_ids) as subscription:
        yield ServerSentEvent(comment="connected", retry=RETRY_MS)
        last = (-1, -1)
        if last_event_id:
            for signal in await to_thread.run_sync(_read, services, replay, last_event_id):
                if signal.org_id in subscription.org_ids:
                    last = max(last, signal.order or last)
                    yield _sse(signal)
        async for signal in subscription.signals():
            if signal.order is None or signal.order > last:
                yield _sse(signal)


def _read(
    services: Services, replay: Callable[[Connection, str], list[Signal]], last_event_id: str
) -> list[Signal]:
    with services.pool.connection() as conn:
        return replay(conn, last_event_id)


def _sse(signal: Signal) -> ServerSentEvent:
    return ServerSentEvent(data=signal.data, event=signal.event, id=signal.id)
