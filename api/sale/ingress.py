"""Stamps a bid when its last byte arrives, in database time, before anything makes it wait.

The stamp decides whether a bid was in time (auction.md 0.2), so neither a queue of the thread pool nor
one for a connection may come before it. Not the first byte: whoever trickled a body could look at
the bids of others after the end and still count as early.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import datetime
from typing import TYPE_CHECKING

from starlette.datastructures import MutableHeaders

from core.clock import to_ms
from core.errors import Unavailable

if TYPE_CHECKING:
    from fastapi import Request
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

TIMED = re.compile(r"^(/api/v1)?/(lots|time|registrations|me)(/|$)")
"""Answers that carry X-Server-Time-Ms: a page counts down with it."""
BIDS = re.compile(r"^/api/v1/lots/[^/]+/bids$")
Tell = Callable[[], datetime]


class DatabaseTime:
    """Plain ASGI, the outermost layer: nothing of ours runs before it."""

    def __init__(self, app: ASGIApp, tell: Tell) -> None:
        self._app = app
        self._tell = tell

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http" or not TIMED.match(scope["path"]):
            await self._app(scope, receive, send)
            return
        stamps = scope["method"] == "POST" and BIDS.match(scope["path"]) is not None
        state = scope.setdefault("state", {})

        async def stamped() -> Message:
            message = await receive()
            if message["type"] == "http.request" and not message.get("more_body", False):
                state.setdefault("arrived_at", self._now())
            return message

        async def with_time(message: Message) -> None:
            if message["type"] == "http.response.start":
                now = self._now()
                if now is not None:
                    MutableHeaders(scope=message)["X-Server-Time-Ms"] = str(to_ms(now))
            await send(message)

        await self._app(scope, stamped if stamps else receive, with_time)

    def _now(self) -> datetime | None:
        try:
            return self._tell()
        except Unavailable:
            return None


def arrived_at(request: Request) -> datetime:
    """Return when the bid arrived.

    Raises:
        Unavailable: database time is not known well enough to judge a bid (``busy``).
    """
    arrived: datetime | None = getattr(request.state, "arrived_at", None)
    if arrived is None:
        raise Unavailable("Expected to know the database's time, it has not answered: try again", code="busy")
    return arrived
