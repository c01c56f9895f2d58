"""The sale over HTTP: one hot lot, many lots read and bid on, a server that is killed."""

from __future__ import annotations

import asyncio
import itertools
import json
import random
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from core.clock import monotonic
from core.errors import Unavailable
from pledgewatch.bench.http.load import Answer, Call, Line, run_load
from pledgewatch.bench.result import quantile
from pledgewatch.bench.sale.stage import nth_maximum

if TYPE_CHECKING:
    from auction.domain import Lot
    from pledgewatch.bench.http.serving import Served
    from pledgewatch.staging import Guest

BIDDING = {"201", "bid_too_low", "busy"}
"""Of bids in flight together some are overtaken on the way; a server that is behind asks for some again."""


@dataclass(frozen=True, slots=True)
class HotLot:
    """What one lot took over HTTP."""

    bids_per_s: float
    p99_ms: float
    busy: int


def bid_call(lot: Lot, guest: Guest, number: int) -> Call:
    """Return a bid of a guest, above every one before it."""
    return Call(
        "POST",
        f"/api/v1/lots/{lot.lot_id}/bids",
        {"Authorization": f"Bearer {guest.token}", "Idempotency-Key": f"{lot.number}-{number}"},
        {"max_minor": nth_maximum(number), "mode": "proxy", "confirm_high": True},
    )


def bid_calls(lot: Lot, guests: Sequence[Guest]) -> Iterator[Call]:
    """Return bids of the guests in turn, without end."""
    return (bid_call(lot, guests[number % len(guests)], number) for number in itertools.count(1))


def hot_lot(port: int, lot: Lot, guests: Sequence[Guest], *, lines: int, seconds: float) -> HotLot:
    """Keep ``lines`` bids in flight on one lot.

    Raises:
        Unavailable: somebody got an answer that no bid should get.
    """
    done, spent_s = asyncio.run(run_load(port, bid_calls(lot, guests), lines=lines, seconds=seconds))
    told = Counter(code_of(answer) for _, answer in done)
    strange = set(told) - BIDDING
    if strange:
        raise Unavailable(f"Expected bids to be judged, was {dict(told)}", code="bench_incomplete")
    took = [answer.took_ms for _, answer in done]
    return HotLot(told["201"] / spent_s, quantile(took, 0.99), told["busy"])


def mixed(
    port: int, lots: Sequence[Lot], guests: Sequence[Guest], *, lines: int, seconds: float
) -> tuple[float, float, int]:
    """Read lots, read their bids, bid: three, one and one of five.

    Returns requests/s, the p95 in ms, and how many bids an overloaded server asked to send again.
    """
    rng = random.Random(5)  # noqa: S311  which lot is looked at, not a secret
    numbers = itertools.count(10_000)

    def calls() -> Iterator[Call]:
        for number in itertools.count():
            lot = rng.choice(lots)
            if number % 5 == 4:
                yield bid_call(lot, rng.choice(guests), next(numbers))
            elif number % 5 == 3:
                yield Call("GET", f"/api/v1/lots/{lot.lot_id}/bids", {})
            else:
                yield Call("GET", f"/api/v1/lots/{lot.lot_id}", {})

    done, spent_s = asyncio.run(run_load(port, calls(), lines=lines, seconds=seconds))
    told = Counter(code_of(answer) for _, answer in done)
    strange = set(told) - BIDDING - {"200", "429", "bid_rate", "self_raise_too_low"}
    if strange:
        raise Unavailable(f"Expected answers, was {dict(told)}", code="bench_incomplete")
    return len(done) / spent_s, quantile([answer.took_ms for _, answer in done], 0.95), told["busy"]


def acknowledged_before_a_kill(
    served: Served, lot: Lot, guests: Sequence[Guest], *, lines: int, after_s: float
) -> set[str]:
    """Bid, kill the server in the middle, and return the ids of the bids it had said yes to."""

    async def run() -> list[Answer]:
        calls, found = bid_calls(lot, guests), []
        until_s = monotonic() + after_s + 1.0

        async def keep_bidding() -> None:
            line = Line("127.0.0.1", served.port)
            while monotonic() < until_s:
                answer = await line.send(next(calls).encode())
                found.append(answer)
                if answer.status == 0:
                    break
            await line.close()

        async def kill() -> None:
            await asyncio.sleep(after_s)
            await asyncio.to_thread(served.child.kill)

        await asyncio.gather(kill(), *(keep_bidding() for _ in range(lines)))
        return found

    return {json.loads(answer.body)["bid_id"] for answer in asyncio.run(run()) if answer.status == 201}


def code_of(answer: Answer) -> str:
    """Return the stable code of a refusal, else the status."""
    if answer.status in {0, 200, 201}:
        return str(answer.status)
    try:
        return str(json.loads(answer.body).get("code", answer.status))
    except ValueError:
        return str(answer.status)
