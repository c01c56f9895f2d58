"""One bidder's calls. A bid without a clear answer is asked again with its key until the deadline."""

from __future__ import annotations

import asyncio
import random
import uuid
from datetime import datetime
from typing import Any

import httpx

from core.clock import monotonic, to_ms, wall_now
from core.errors import Upstream
from simulator.bidders.domain import LotView, Outcome, Wish

CALL_TIMEOUT_S = 5.0
RETRY_FOR_S = 30.0
BACKOFF_S = (0.05, 0.2, 0.5, 1.0)
IN_FLIGHT = "request_in_progress"


class BidderClient:
    """Speaks for one token."""

    def __init__(self, http: httpx.AsyncClient, name: str, token: str, *, seed: int = 0) -> None:
        self.name = name
        self._http = http
        self._headers = {"Authorization": f"Bearer {token}"}
        self._rng = random.Random(seed)

    async def register(self, lot_id: str, terms_version: str) -> dict[str, Any]:
        """Register for a lot and accept its terms; returns the registration."""
        return await self._create(f"/api/v1/lots/{lot_id}/registrations", {"terms_version": terms_version})

    async def deposit(self, registration_id: str) -> dict[str, Any]:
        """Put the deposit on hold; returns the hold."""
        return await self._create(f"/api/v1/registrations/{registration_id}/deposit-holds", {})

    async def bid(self, lot_id: str, wish: Wish, currency: str, *, key: str | None = None) -> Outcome:
        """Place a bid and return what became of it; never raises for an answer."""
        key = key or str(uuid.UUID(int=self._rng.getrandbits(128), version=4))
        body = {"max": {"amount_minor": wish.max_minor, "currency": currency}, "mode": wish.mode}
        sent_ms = to_ms(wall_now())
        attempts, answer = await self._insist(f"/api/v1/lots/{lot_id}/bids", body, key)
        status = answer.status_code if answer is not None else 0
        return Outcome(
            bidder=self.name,
            key=key,
            wish=wish,
            sent_ms=sent_ms,
            answered_ms=to_ms(wall_now()),
            attempts=attempts,
            status=status,
            code="" if answer is None or status == 201 else problem_code(answer),
            body=answer.content if answer is not None else b"",
        )

    async def _create(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        key = str(uuid.UUID(int=self._rng.getrandbits(128), version=4))
        _, answer = await self._insist(path, body, key)
        if answer is None or answer.status_code not in {200, 201, 202}:
            said = "nothing" if answer is None else f"{answer.status_code} {problem_code(answer)}"
            raise Upstream(f"{self.name}: expected 201 from {path}, was {said}", code="bidder_refused")
        found: dict[str, Any] = answer.json()
        return found

    async def _insist(self, path: str, body: dict[str, Any], key: str) -> tuple[int, httpx.Response | None]:
        """Send until there is a clear answer: no transport error, no 5xx, no twin in flight, no 429."""
        headers = self._headers | {"Idempotency-Key": key}
        deadline, attempts = monotonic() + RETRY_FOR_S, 0
        answer: httpx.Response | None = None
        while monotonic() < deadline:
            attempts += 1
            try:
                answer = await self._http.post(path, json=body, headers=headers, timeout=CALL_TIMEOUT_S)
            except httpx.TransportError:
                answer = None
            if answer is not None and _clear(answer):
                break
            await asyncio.sleep(_pause_s(attempts, answer, self._rng))
        return attempts, answer


def _clear(answer: httpx.Response) -> bool:
    if answer.status_code >= 500 or answer.status_code == 429:
        return False
    return not (answer.status_code == 409 and problem_code(answer) == IN_FLIGHT)


def _pause_s(attempts: int, answer: httpx.Response | None, rng: random.Random) -> float:
    asked = answer.headers.get("Retry-After", "") if answer is not None else ""
    if asked.isdigit():
        return min(float(asked), BACKOFF_S[-1])
    return BACKOFF_S[min(attempts, len(BACKOFF_S)) - 1] * rng.uniform(0.5, 1.0)


def problem_code(answer: httpx.Response) -> str:
    """Return the stable code of a problem answer, or its status as text."""
    try:
        found = answer.json()
    except ValueError:
        return str(answer.status_code)
    return str(found.get("code", answer.status_code)) if isinstance(found, dict) else str(answer.status_code)


def read_view(page: dict[str, Any]) -> LotView:
    """Read a lot's public JSON; time left is by the server's own clock."""
    price, least = page["price"], page["min_next"]
    return LotView(
        state=page["state"],
        start_minor=page["start_price"]["amount_minor"],
        price_minor=price["amount_minor"] if price else None,
        min_next_minor=least["amount_minor"] if least else None,
        tick_minor=page["tick"]["amount_minor"],
        currency=page["start_price"]["currency"],
        leader_code=page["leader_code"],
        seq=page["seq"],
        left_ms=_moment_ms(page["ends_at"]) - _moment_ms(page["server_time"]),
        length_ms=_moment_ms(page["ends_at"]) - _moment_ms(page["starts_at"]),
        terms_version=page["terms_version"],
    )


def _moment_ms(text: str) -> int:
    return to_ms(datetime.fromisoformat(text))
