"""How long a chunk should be (TimescaleDB): from how often devices report, how many, and the memory.

Two bounds. The columnstore packs a device's rows in batches of up to 1,000, so a chunk should hold about
that many reports of a device: 1,000 times the report period. And the indexes of the chunk that is being
written must fit in a quarter of the memory, or every insert reads the disk. The second one wins.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from core.errors import Rejected

ROWS_PER_BATCH = 1_000
MEMORY_SHARE = 4
"""Indexes of the newest chunk may take one part in so many."""
INDEX_BYTES_PER_REPORT = 130
"""Measured: the key and the index by vehicle, filled by a fleet that reports in turn."""
INTERVALS = tuple(timedelta(hours=hours) for hours in (1, 2, 3, 6, 12, 24, 72, 168))


@dataclass(frozen=True, slots=True)
class ChunkAdvice:
    """The interval to set, and why."""

    interval: timedelta
    reports_per_device: int
    index_bytes: int
    memory_bound: bool
    """Whether memory asked for shorter chunks than the columnstore would like."""


def advise(devices: int, period_s: int, memory_bytes: int) -> ChunkAdvice:
    """Return the shortest interval that fills a batch per device, or less when memory asks for it.

    Raises:
        Rejected: a number is not above zero.
    """
    for name, number in (("devices", devices), ("period_s", period_s), ("memory_bytes", memory_bytes)):
        if number <= 0:
            raise Rejected(f"Expected {name} above 0, was {number}", code="bad_fleet_size")
    wanted = timedelta(seconds=ROWS_PER_BATCH * period_s)
    filling = next((interval for interval in INTERVALS if interval >= wanted), INTERVALS[-1])
    fitting = [i for i in INTERVALS if _index_bytes(devices, period_s, i) * MEMORY_SHARE <= memory_bytes]
    most = fitting[-1] if fitting else INTERVALS[0]
    interval = min(filling, most)
    return ChunkAdvice(
        interval,
        int(interval.total_seconds()) // period_s,
        _index_bytes(devices, period_s, interval),
        memory_bound=interval < filling,
    )


def _index_bytes(devices: int, period_s: int, interval: timedelta) -> int:
    return devices * (int(interval.total_seconds()) // period_s) * INDEX_BYTES_PER_REPORT
