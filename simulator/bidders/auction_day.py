"""A lot from the first wish to the hammer: every bidder looks at the page, thinks, bids, looks again."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import httpx

from core.clock import monotonic
from core.errors import NotFound, Rejected, Unavailable
from simulator.bidders.client import BidderClient, read_view
from simulator.bidders.domain import LotView, Outcome, Profile
from simulator.bidders.strategy import decide, make_profiles

LOOK_EVERY_S = 0.4
SILENT_FOR_S = 120.0
"""How long the server may be away before the bidders give up."""


@dataclass
class Day:
    """What happened: outcomes in the order of their answers, and the page after the end."""

    outcomes: list[Outcome] = field(default_factory=list)
    last: LotView | None = None

    @property
    def acknowledged(self) -> int:
        """Return the number of bids that the server took."""
        return sum(outcome.acknowledged for outcome in self.outcomes)


class _Page:
    """One watcher for all bidders; each waits for the next look."""

    def __init__(self, http: httpx.AsyncClient, lot_id: str) -> None:
        self._http, self._lot_id = http, lot_id
        self.view: LotView | None = None
        self._looked = asyncio.Event()

    async def watch(self) -> LotView:
        """Look until the lot is decided; returns the last view."""
        seen_at = monotonic()
        while True:
            try:
                answer = await self._http.get(f"/api/v1/lots/{self._lot_id}", timeout=5.0)
            except httpx.TransportError:
                answer = None
            if answer is not None and answer.status_code == 404:
                raise NotFound(f"Expected a public lot, was {self._lot_id}", code="lot_not_found")
            if answer is not None and answer.status_code == 200:
                seen_at = monotonic()
                self.view = read_view(answer.json())
                self._looked.set()
                self._looked = asyncio.Event()
                if self.view.decided:
                    return self.view
            if monotonic() - seen_at > SILENT_FOR_S:
                raise Unavailable("Expected the lot's page, was no answer for long", code="lot_page_silent")
            await asyncio.sleep(LOOK_EVERY_S)

    async def next_look(self) -> LotView:
        """Wait for the next look."""
        await self._looked.wait()
        assert self.view is not None  # noqa: S101  set before the event
        return self.view


async def run_day(
    base_url: str,
    lot_id: str,
    tokens: Mapping[str, str],
    *,
    seed: int,
    tell: Callable[[Outcome], None] = lambda _: None,
) -> Day:
    """Let the bidders of ``tokens`` (name -> token) register, pay the deposit and bid until the end.

    Raises:
        NotFound: no such public lot.
        Upstream: somebody was not admitted.
    """
    day = Day()
    async with httpx.AsyncClient(
        base_url=base_url, trust_env=False, limits=httpx.Limits(max_connections=len(tokens) + 2)
    ) as http:
        first = await _first_view(http, lot_id)
        profiles = make_profiles(seed, len(tokens), first.start_minor, first.tick_minor)
        page = _Page(http, lot_id)
        watching = asyncio.create_task(page.watch())
        bidding = [
            asyncio.create_task(
                _bidder(page, http, lot_id, profile, name, token, first.terms_version, day, tell)
            )
            for profile, (name, token) in zip(profiles, tokens.items(), strict=True)
        ]
        try:
            done, _ = await asyncio.wait({watching, *bidding}, return_when=asyncio.FIRST_EXCEPTION)
            for task in done:
                task.result()  # whoever failed ends the day for all, at once
            day.last = watching.result()
        finally:
            for task in (watching, *bidding):
                task.cancel()
            await asyncio.gather(watching, *bidding, return_exceptions=True)
    return day


async def _first_view(http: httpx.AsyncClient, lot_id: str) -> LotView:
    answer = await http.get(f"/api/v1/lots/{lot_id}")
    if answer.status_code != 200:
        raise NotFound(f"Expected a public lot, was {answer.status_code}", code="lot_not_found")
    view = read_view(answer.json())
    if view.decided:
        raise Rejected(f"Expected a lot that can be bid on, was {view.state}", code="lot_decided")
    return view


async def _bidder(
    page: _Page,
    http: httpx.AsyncClient,
    lot_id: str,
    profile: Profile,
    name: str,
    token: str,
    terms_version: str,
    day: Day,
    tell: Callable[[Outcome], None],
) -> None:
    rng = random.Random(profile.seed)
    client = BidderClient(http, name, token, seed=profile.seed)
    registration = await client.register(lot_id, terms_version)
    await client.deposit(registration["registration_id"])
    code, placed = registration["code"], 0
    while True:
        view = await page.next_look()
        if view.decided:
            return
        wish = decide(profile, view, leading=view.leader_code == code, placed=placed, rng=rng)
        if wish is None:
            continue
        await asyncio.sleep(min(profile.think_ms, max(0, view.left_ms // 3)) / 1000 * rng.uniform(0.3, 1.0))
        latest = page.view or view
        wish = decide(profile, latest, leading=latest.leader_code == code, placed=placed, rng=rng)
        if wish is None:
            continue
        outcome = await client.bid(lot_id, wish, view.currency)
        placed += outcome.acknowledged
        day.outcomes.append(outcome)
        tell(outcome)
        if not outcome.acknowledged:
            await page.next_look()
