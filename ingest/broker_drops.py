"""The broker's own count of messages it threw away: a full queue loses silently otherwise."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ingest.domain import Delivery

TOPIC = "$SYS/broker/publish/messages/dropped"


class BrokerDrops:
    """Follows a counter that begins at zero when the broker starts."""

    def __init__(self) -> None:
        self.counter = 0
        """What it showed when it was last told to somebody."""

    def recall(self, counter: int) -> None:
        """Go on from what an earlier worker had told: a queue fills just when no worker is there."""
        self.counter = counter

    def increase(self, deliveries: Iterable[Delivery]) -> int:
        """Return how much the counter grew since it was last told."""
        grown = 0
        for delivery in deliveries:
            try:
                count = int(delivery.payload)
            except ValueError:
                continue
            # Lower than before, it began anew with another start of the broker.
            grown += count - self.counter if count >= self.counter else count
            self.counter = count
        return grown
