"""What a commit costs at least on this disk."""

from __future__ import annotations

import os
from pathlib import Path

from core.clock import monotonic
from pledgewatch.bench.result import quantile

FLUSHES = 50


def flush_ms(path: Path) -> float:
    """Return the median time of an 8 KiB write with fsync: what a commit costs at least on this disk."""
    times = []
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT, 0o600)
    try:
        for number in range(FLUSHES):
            os.pwrite(descriptor, bytes([number]) * 8192, number * 8192)
            began_s = monotonic()
            os.fsync(descriptor)
            times.append(monotonic() - began_s)
    finally:
        os.close(descriptor)
    return quantile(times, 0.5) * 1e3
