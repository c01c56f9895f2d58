"""Prometheus metrics of the ingest process (served on loopback when a port is set)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from prometheus_client import Counter, Gauge, Histogram

if TYPE_CHECKING:
    from ingest.domain import Counts

ITEMS = Counter("pledgewatch_ingest_items", "Reports by what became of them.", ["slot", "outcome"])
RETRIES = Counter("pledgewatch_ingest_retries", "Transactions tried again, by SQLSTATE.", ["slot", "state"])
WINDOW = Gauge("pledgewatch_ingest_window_used", "Messages received and not yet acknowledged.", ["slot"])
BATCH_SECONDS = Histogram(
    "pledgewatch_ingest_batch_seconds",
    "From a batch in hand to its commit.",
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 60),
)

_OUTCOMES = (
    "inserted", "duplicate", "dup_conflict", "undated", "undated_duplicate", "status", "quarantined", "dead",
)  # fmt: skip


def count(slot: int, counts: Counts) -> None:
    """Add a committed batch."""
    for outcome in _OUTCOMES:
        number = getattr(counts, outcome)
        if number:
            ITEMS.labels(slot, outcome).inc(number)
