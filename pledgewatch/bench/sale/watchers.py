"""Streams of a lot: how long from the decision until the last of many watchers has it."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING

from core.clock import wall_now
from core.errors import Unavailable
from pledgewatch.bench.http.load import Call, Line, read_head
from pledgewatch.bench.result import quantile
from pledgewatch.bench.sale.served import bid_call

if TYPE_CHECKING:
    from auction.domain import Lot
    from pledgewatch.staging import Guest

OPEN_TOGETHER = 32
SETTLE_S = 2.0


@dataclass
class Crowd:
    """Watchers, and when each event came to the last of them."""

    open: int = 0
    delays_ms: dict[int, list[float]] = field(default_factory=lambda: defaultdict(list))

    def last_ms(self) -> list[float]:
        """Return, for each event that all have seen, the delay until the last one had it."""
        return [max(delays) for delays in self.delays_ms.values() if len(delays) == self.open]


def watch(
    port: int, lot: Lot, guests: Sequence[Guest], *, watchers: int, bids: int, every_s: float
) -> tuple[int, float]:
    """Open streams, bid now and then; returns how many streams were open, and the p99 of the last watcher.

    Raises:
        Unavailable: an event did not reach everybody.
    """
    crowd = asyncio.run(_watch(port, lot, guests, watchers, bids, every_s))
    lasts = crowd.last_ms()
    if len(lasts) < bids // 2:
        raise Unavailable(f"Expected {bids} events at all, was {len(lasts)}", code="bench_incomplete")
    return crowd.open, quantile(lasts, 0.99)


async def _watch(
    port: int, lot: Lot, guests: Sequence[Guest], watchers: int, bids: int, every_s: float
) -> Crowd:
    crowd, doors = Crowd(), asyncio.Semaphore(OPEN_TOGETHER)
    wire = Call("GET", f"/api/v1/lots/{lot.lot_id}/events", {"Accept": "text/event-stream"}).encode()
    wire = wire.replace(b"Accept: application/json\r\n", b"")
    opened = asyncio.Event()

    async def one() -> None:
        async with doors:
            reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=2**20)
            writer.write(wire)
            status, _ = await read_head(reader)
            if status != 200:
                raise Unavailable(f"Expected a stream, was {status}", code="bench_incomplete")
        crowd.open += 1
        if crowd.open == watchers:
            opened.set()
        try:
            while True:
                part = await reader.readuntil(b"\n\n")
                _note(crowd, part)
        finally:
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()

    watching = [asyncio.create_task(one()) for _ in range(watchers)]
    waiting = asyncio.create_task(opened.wait())
    await asyncio.wait({waiting, *watching}, return_when=asyncio.FIRST_COMPLETED, timeout=120)
    if not opened.is_set():
        raise Unavailable(f"Expected {watchers} streams, was {crowd.open}", code="bench_incomplete")
    crowd.delays_ms.clear()
    line = Line("127.0.0.1", port)
    for number in range(1, bids + 1):
        await line.send(bid_call(lot, guests[number % len(guests)], 500_000 + number).encode())
        await asyncio.sleep(every_s)
    await asyncio.sleep(SETTLE_S)
    await line.close()
    for task in watching:
        task.cancel()
    await asyncio.gather(*watching, return_exceptions=True)
    return crowd


def _note(crowd: Crowd, part: bytes) -> None:
    """Read one event out of a (chunked) stream and note how old it is."""
    start = part.find(b"data: ")
    if start < 0:
        return
    event = json.loads(part[start + 6 : part.index(b"\n", start)])
    age = wall_now() - datetime.fromisoformat(event["decided_at"])
    crowd.delays_ms[event["seq"]].append(age.total_seconds() * 1e3)
