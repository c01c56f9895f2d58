"""The bounded queue between the network thread and the writer thread of a slot."""

from __future__ import annotations

import threading
from collections import deque
from typing import TYPE_CHECKING

from core.clock import monotonic

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ingest.domain import Delivery


class Ring:
    """Deliveries in receive order. Bounded by the protocol: the broker sends no more than its window."""

    def __init__(self) -> None:
        self._queue: deque[Delivery] = deque()
        self._changed = threading.Condition()
        self._wake_at = 1
        self._put_bytes = 0
        self._taken_bytes = 0

    def __len__(self) -> int:
        return len(self._queue)

    @property
    def waiting_bytes(self) -> int:
        """Return how many bytes of payload wait."""
        return self._put_bytes - self._taken_bytes

    def put_all(self, deliveries: Sequence[Delivery]) -> None:
        """Append, in order; wakes the reader only when it has reason to look."""
        self._put_bytes += sum([len(delivery.payload) for delivery in deliveries])
        self._queue.extend(deliveries)
        if len(self._queue) >= self._wake_at:
            self.wake()

    def wake(self) -> None:
        """Let a waiting reader look again."""
        with self._changed:
            self._changed.notify()

    def drop_before(self, connection: int) -> int:
        """Forget deliveries of earlier connections, which the broker is about to send again."""
        with self._changed:
            kept = [d for d in self._queue if d.token is None or d.token.connection >= connection]
            dropped = len(self._queue) - len(kept)
            kept_bytes = sum(len(delivery.payload) for delivery in kept)
            self._taken_bytes = self._put_bytes - kept_bytes
            self._queue.clear()
            self._queue.extend(kept)
        return dropped

    def take(self, *, most: int, most_bytes: int, flush_s: float, wait_s: float) -> list[Delivery]:
        """Return a batch: ``most`` deliveries, or those there when the oldest has waited ``flush_s``."""
        with self._changed:
            self._wake_at = 1
            if not self._queue:
                self._changed.wait(wait_s)
            if not self._queue:
                return []
            self._wake_at = most
            left = self._queue[0].arrived_s + flush_s - monotonic()
            if len(self._queue) < most and left > 0:
                self._changed.wait(left)
            batch: list[Delivery] = []
            size = 0
            while self._queue and len(batch) < most and size < most_bytes:
                delivery = self._queue.popleft()
                batch.append(delivery)
                size += len(delivery.payload)
            self._taken_bytes += size
        return batch
