"""The hub: one reader thread, many listeners, bounded queues.

A listener that does not keep up is dropped (it reconnects with Last-Event-ID and catches up from the
tables); it can never make the reader, or another listener, wait.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import psycopg
import structlog
from psycopg_pool import ConnectionPool, PoolTimeout

from api.stream.lots import LotStreams
from api.stream.sources import AlertSource, PositionSource, Signal

if TYPE_CHECKING:
    from core.clock import Clock
    from core.db.pool import Connection

QUEUE_LENGTH = 2_000
"""Signals a listener may be behind: some minutes of a large fleet. Beyond it, it is dropped."""
POLL_S = 0.4
RETRY_S = 2.0

_log = structlog.get_logger("api.stream")


@dataclass(eq=False, slots=True)
class Subscription:
    """One open connection. ``org_ids`` limits what it gets to hear."""

    channel: str
    org_ids: frozenset[str]
    queue: asyncio.Queue[Signal | None] = field(default_factory=lambda: asyncio.Queue(QUEUE_LENGTH))
    dropped: bool = False

    async def signals(self) -> AsyncIterator[Signal]:
        """Yield signals until the hub closes or drops the subscription."""
        while not (self.dropped and self.queue.empty()):
            signal = await self.queue.get()
            if signal is None:
                return
            yield signal


class Hub:
    """Fans out signals. ``start`` needs the event loop on which the listeners run."""

    def __init__(self, pool: ConnectionPool[Connection], clock: Clock) -> None:
        self._pool = pool
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._subscriptions: set[Subscription] = set()
        self.alerts = AlertSource()
        self.positions = PositionSource(clock)
        self.lots = LotStreams(pool)
        self.closed = False

    @property
    def listeners(self) -> int:
        """Return how many connections are open."""
        return len(self._subscriptions)

    def start(self, loop: asyncio.AbstractEventLoop) -> None:
        """Start the reader thread."""
        self._loop = loop
        self._thread = threading.Thread(target=self._read, name="stream-hub", daemon=True)
        self._thread.start()

    def close_soon(self) -> None:
        """Close from another thread or a signal handler."""
        if self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self.close)

    def close(self) -> None:
        """End every stream and stop reading; safe to call twice, from the loop's thread."""
        self.closed = True
        self._stop.set()
        self.lots.close()
        for subscription in list(self._subscriptions):
            self._end(subscription)

    def join(self) -> None:
        """Wait for the reader thread."""
        if self._thread is not None:
            self._thread.join(timeout=5)

    @contextlib.contextmanager
    def subscribed(self, channel: str, org_ids: Sequence[str]) -> Iterator[Subscription]:
        """Listen for as long as the block runs."""
        subscription = Subscription(channel, frozenset(org_ids))
        self._subscriptions.add(subscription)
        try:
            yield subscription
        finally:
            self._subscriptions.discard(subscription)

    def _read(self) -> None:
        while not self._stop.is_set():
            try:
                with self._pool.connection(timeout=5) as conn:
                    self._poll(conn)
            except (psycopg.Error, PoolTimeout) as exc:
                # The cursors stand where they stood; nothing is skipped when the database is back.
                _log.warning("stream_poll_failed", error=str(exc))
                self._stop.wait(RETRY_S)
                continue
            self._stop.wait(POLL_S)

    def _poll(self, conn: Connection) -> None:
        for channel, read in self._sources():
            signals = read(conn)
            if signals and self._loop is not None and not self._loop.is_closed():
                self._loop.call_soon_threadsafe(self._fan_out, channel, signals)

    def _sources(self) -> tuple[tuple[str, Callable[[Connection], list[Signal]]], ...]:
        return (("alerts", self.alerts.poll), ("positions", self.positions.poll))

    def _fan_out(self, channel: str, signals: list[Signal]) -> None:
        for subscription in list(self._subscriptions):
            if subscription.channel != channel:
                continue
            for signal in signals:
                if signal.org_id not in subscription.org_ids:
                    continue
                try:
                    subscription.queue.put_nowait(signal)
                except asyncio.QueueFull:
                    _log.warning("stream_listener_dropped", channel=channel)
                    self._end(subscription)
                    break

    def _end(self, subscription: Subscription) -> None:
        subscription.dropped = True
        self._subscriptions.discard(subscription)
        with contextlib.suppress(asyncio.QueueFull):
            # A full queue needs no end mark: the flag ends the loop once it is drained.
            subscription.queue.put_nowait(None)
