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
        self._last: int | None = None

    def increase(self, deliveries: Iterable[Delivery]) -> int:
        """Return how much the counter grew since the last message; what was before us is not ours."""
        grown = 0
        for delivery in deliveries:
            try:
                count = int(delivery.payload)
            except ValueError:
                continue
            if self._last is not None:
                grown += count - self._last if count >= self._last else count
            self._last = count
        return grown
