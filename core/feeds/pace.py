"""How fast to ask, and how long to wait before asking again."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable
from email.utils import parsedate_to_datetime

from core.clock import monotonic, wall_now

FIRST_WAIT_S = 0.5


class TokenBucket:
    """At most ``per_s`` requests a second after a burst of ``burst``."""

    def __init__(
        self, per_s: float, burst: int, *, now: Callable[[], float] = monotonic, wait: Callable[[float], None]
    ) -> None:
        self._per_s = per_s
        self._burst = burst
        self._now = now
        self._wait = wait
        self._tokens = float(burst)
        self._at = now()

    def take(self) -> None:
        """Wait until one more request is allowed."""
        self._refill()
        while self._tokens < 1:
            self._wait((1 - self._tokens) / self._per_s)
            self._refill()
        self._tokens -= 1

    def _refill(self) -> None:
        now = self._now()
        self._tokens = min(self._burst, self._tokens + (now - self._at) * self._per_s)
        self._at = now


def backoff_s(attempt: int, longest_s: float, chance: random.Random) -> float:
    """Return how long to wait after the ``attempt``-th failure (from 1): exponential, full jitter.

    Without jitter every deployment that lost the same feed would come back in the same second.
    """
    return chance.uniform(0, min(longest_s, FIRST_WAIT_S * 2 ** (attempt - 1)))


def retry_after_s(header: str | None) -> float | None:
    """Return what a Retry-After header asks for (seconds or an HTTP date); None when it says nothing."""
    if header is None:
        return None
    text = header.strip()
    if text.isascii() and text.isdigit():
        return float(text[:9])
    try:
        moment = parsedate_to_datetime(text)
    except ValueError:
        return None
    if moment.tzinfo is None:
        return None
    return max(0.0, (moment - wall_now()).total_seconds())


def wait(seconds: float) -> None:
    """Wait; a process that is told to stop is killed here, between two requests."""
    threading.Event().wait(seconds)
