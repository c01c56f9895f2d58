"""How often one bidder may bid on one lot: a bucket that holds ten and gains five a second."""

from __future__ import annotations

from collections.abc import Callable, Hashable

from core.clock import monotonic
from core.errors import TooManyRequests

PER_S = 5
BURST = 10
MOST_BUCKETS = 10_000


class BidRate:
    """Buckets of this process; with several processes behind one door each grants as much."""

    def __init__(self, clock: Callable[[], float] = monotonic) -> None:
        self._clock = clock
        self._buckets: dict[Hashable, tuple[float, float]] = {}

    def take(self, who: Hashable) -> None:
        """Use one up.

        Raises:
            TooManyRequests: none is left (``bid_rate``).
        """
        now = self._clock()
        held, since = self._buckets.get(who, (BURST, now))
        held = min(BURST, held + (now - since) * PER_S)
        if held < 1:
            self._buckets[who] = (held, now)
            raise TooManyRequests(
                f"Expected at most {PER_S} bids a second on a lot, were more",
                code="bid_rate",
                retry_after_s=1,
            )
        self._buckets[who] = (held - 1, now)
        if len(self._buckets) > MOST_BUCKETS:
            self._forget_full(now)

    def _forget_full(self, now: float) -> None:
        full = [who for who, (held, since) in self._buckets.items() if held + (now - since) * PER_S >= BURST]
        for who in full:
            del self._buckets[who]
