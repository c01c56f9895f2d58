"""Invented bidders at a lot of this deployment: made here, then on their own over HTTP."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

from auction.lots.store import get_lot
from core.db.pool import Connection
from core.domain.money import Money
from core.settings import Settings
from pledgewatch.embedded.ports import LOOPBACK
from pledgewatch.staging import invite
from simulator.bidders.auction_day import Day, run_day
from simulator.bidders.domain import Outcome
from simulator.bidders.log import write_outcomes


@dataclass(frozen=True, slots=True)
class Request:
    """The options of `bidders run`."""

    lot_id: UUID
    count: int
    seed: int
    url: str
    log: Path | None


def local_url(settings: Settings) -> str:
    """Return where the API of this machine answers."""
    everywhere = settings.http_host in {"0.0.0.0", "::", ""}  # noqa: S104  a comparison, not a bind
    return f"http://{LOOPBACK if everywhere else settings.http_host}:{settings.http_port}"


def make_guests(conn: Connection, request: Request) -> dict[str, str]:
    """Return name -> token of new verified bidders who can pay the lot's deposit."""
    lot = get_lot(conn, request.lot_id)
    deposit = Money(lot.deposit_minor, lot.currency)
    names = [f"sim-{lot.number}-{number + 1:03d}" for number in range(request.count)]
    return {name: invite(conn, name, deposit=deposit).token for name in names}


def bid_until_the_end(
    request: Request, tokens: dict[str, str], tell: Callable[[Outcome], None]
) -> dict[str, Any]:
    """Let them bid until the lot is decided; returns the figures of the day."""
    day = asyncio.run(run_day(request.url, str(request.lot_id), tokens, seed=request.seed, tell=tell))
    if request.log is not None:
        write_outcomes(request.log, day.outcomes)
    return _figures(day, len(tokens))


def _figures(day: Day, bidders: int) -> dict[str, Any]:
    last = day.last
    return {
        "bidders": bidders,
        "bids": len(day.outcomes),
        "acknowledged": day.acknowledged,
        "unanswered": sum(outcome.status == 0 for outcome in day.outcomes),
        "state": last.state if last else "",
        "price_minor": last.price_minor if last else None,
    }
