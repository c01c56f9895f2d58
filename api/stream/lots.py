"""The fan-out of lots: one poller per process while somebody watches, each event made into bytes once.

Per lot the sequence has no gaps, so a watcher needs no more than the number it saw last. Nothing here
writes: a bid is stored before any watcher hears of it, and a stream that fails loses no bid.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from collections.abc import AsyncIterator, Callable, Hashable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeVar, TypeVarTuple, Unpack
from uuid import UUID

import anyio
import psycopg
import structlog
from anyio import to_thread

from api.sale.events import event_out
from auction.log import store as log
from core.db.pool import Connection, connect
from core.errors import TooManyRequests

if TYPE_CHECKING:
    from psycopg_pool import ConnectionPool

    from auction.domain import LotEvent

Answer = TypeVar("Answer")
Arguments = TypeVarTuple("Arguments")

POLL_S = 0.03
RETRY_MS = 2_000
HEARTBEAT_S = 10.0
RETRY_S = 1.0
QUEUE_LENGTH = 500
"""Events a watcher may be behind. Beyond it, it is dropped: it comes back with Last-Event-ID."""
BATCH = 500

_log = structlog.get_logger("api.stream")


@dataclass(frozen=True, slots=True)
class Chunk:
    """An event as it goes over the wire."""

    seq: int
    content: bytes


@dataclass(eq=False, slots=True)
class Watcher:
    """One open stream."""

    lot_id: UUID
    holder: Hashable
    queue: asyncio.Queue[Chunk | None] = field(default_factory=lambda: asyncio.Queue(QUEUE_LENGTH))
    dropped: bool = False

    async def next(self, within_s: float) -> Chunk | None:
        """Return the next event; None: the stream is over.

        Raises:
            TimeoutError: nothing happened for so long.
        """
        if self.dropped and self.queue.empty():
            return None
        async with asyncio.timeout(within_s):
            return await self.queue.get()


def chunk(event: LotEvent) -> Chunk:
    """Return the bytes of an event."""
    data = event_out(event).model_dump_json()
    return Chunk(event.seq, f"id: {event.seq}\nevent: {event.kind}\ndata: {data}\n\n".encode())


class LotStreams:
    """Everything but the reading happens on the event loop, so that nothing here needs a lock."""

    def __init__(self, pool: ConnectionPool[Connection]) -> None:
        self._pool = pool
        self._watchers: dict[UUID, set[Watcher]] = {}
        self._seen: dict[UUID, int] = {}
        self._held: Counter[Hashable] = Counter()
        self._polling = False
        self._pollers: set[asyncio.Task[None]] = set()
        self._reader = anyio.CapacityLimiter(1)
        self.doors = anyio.CapacityLimiter(2)
        """How many may come in at once: a crowd that reconnects must not take the bids' connections."""
        self.closed = False

    @property
    def watchers(self) -> int:
        """Return how many streams are open."""
        return sum(map(len, self._watchers.values()))

    def enter(self, lot_id: UUID, seq: int, holder: Hashable, most: int) -> Watcher:
        """Listen to what comes after ``seq`` or later; read the replay after this. `leave` ends it.

        ``holder`` is whose streams of this lot are counted.

        Raises:
            TooManyRequests: the holder has ``most`` already (``too_many_streams``).
        """
        if self._held[holder] >= most:
            raise TooManyRequests(
                f"Expected at most {most} streams of a lot at once, were more",
                code="too_many_streams", retry_after_s=5,
            )  # fmt: skip
        watcher = Watcher(lot_id, holder)
        self._held[holder] += 1
        self._watchers.setdefault(lot_id, set()).add(watcher)
        self._seen.setdefault(lot_id, seq)
        if not self._polling:
            self._polling = True
            poller = asyncio.get_running_loop().create_task(self._poll())
            self._pollers.add(poller)
            poller.add_done_callback(self._pollers.discard)
        return watcher

    def leave(self, watcher: Watcher) -> None:
        """Stop listening; once for each `enter`."""
        self._forget(watcher)
        self._held[watcher.holder] -= 1
        if not self._held[watcher.holder]:
            del self._held[watcher.holder]

    def close(self) -> None:
        """End every stream; on the event loop."""
        self.closed = True
        for watchers in list(self._watchers.values()):
            for watcher in list(watchers):
                self._end(watcher)

    async def join(self) -> None:
        """Wait for the poller, after ``close``."""
        for poller in list(self._pollers):
            await poller

    async def _poll(self) -> None:
        conn: Connection | None = None
        try:
            while self._watchers:
                try:
                    if conn is None:
                        conn = await self._run(self._connect)
                    for lot_id, events in (await self._run(self._read, conn, dict(self._seen))).items():
                        self._fan_out(lot_id, events)
                except psycopg.Error as exc:
                    # What was seen last still stands: nothing is skipped when the database is back.
                    _log.warning("lot_poll_failed", error=str(exc))
                    await self._hang_up(conn)
                    conn = None
                    await asyncio.sleep(RETRY_S)
                    continue
                await asyncio.sleep(POLL_S)
        finally:
            # Before the first wait: whoever enters from here on starts a poller of their own.
            self._polling = False
            await self._hang_up(conn)

    def _connect(self) -> Connection:
        # One of its own: a poller in the pool would stand in the queue of the bids it tells about.
        return connect(
            str(self._pool.conninfo), name="lot-streams", autocommit=True, statement_timeout_ms=5_000
        )

    @staticmethod
    def _read(conn: Connection, seen: dict[UUID, int]) -> dict[UUID, list[LotEvent]]:
        return {
            lot_id: log.events_after(conn, lot_id, seen[lot_id], BATCH)
            for lot_id in log.changed_lots(conn, seen)
        }

    async def _run(self, work: Callable[[Unpack[Arguments]], Answer], *arguments: *Arguments) -> Answer:
        return await to_thread.run_sync(work, *arguments, limiter=self._reader)

    async def _hang_up(self, conn: Connection | None) -> None:
        if conn is not None:
            with anyio.CancelScope(shield=True), contextlib.suppress(psycopg.Error):
                await self._run(conn.close)

    def _fan_out(self, lot_id: UUID, events: list[LotEvent]) -> None:
        watchers = self._watchers.get(lot_id)
        if not watchers:
            return
        for event in events:
            made = chunk(event)
            self._seen[lot_id] = event.seq
            for watcher in list(watchers):
                self._hand(watcher, made)

    def _hand(self, watcher: Watcher, made: Chunk) -> None:
        try:
            watcher.queue.put_nowait(made)
        except asyncio.QueueFull:
            _log.warning("lot_watcher_dropped", lot_id=str(watcher.lot_id))
            self._end(watcher)

    def _end(self, watcher: Watcher) -> None:
        watcher.dropped = True
        self._forget(watcher)
        with contextlib.suppress(asyncio.QueueFull):
            watcher.queue.put_nowait(None)

    def _forget(self, watcher: Watcher) -> None:
        watchers = self._watchers.get(watcher.lot_id)
        if watchers is not None:
            watchers.discard(watcher)
            if not watchers:
                del self._watchers[watcher.lot_id]
                self._seen.pop(watcher.lot_id, None)


async def chunks(
    watcher: Watcher, replay: list[Chunk], last: int, sign_of_life: Callable[[], bytes]
) -> AsyncIterator[bytes]:
    """Yield the replay, then what is live, each number once; a sign of life when it is quiet."""
    yield f"retry: {RETRY_MS}\n\n".encode() + sign_of_life()
    for past in replay:
        yield past.content
        last = max(last, past.seq)
    while True:
        try:
            live = await watcher.next(HEARTBEAT_S)
        except TimeoutError:
            yield sign_of_life()
            continue
        if live is None:
            return
        if live.seq > last:
            yield live.content
            last = live.seq
