"""Prometheus metrics of the ingest process (served on loopback when a port is set)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from prometheus_client import Counter, Gauge, Histogram

if TYPE_CHECKING:
    from ingest.domain import Counts

SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 60)

ITEMS = Counter("pledgewatch_ingest_items", "Reports by what became of them.", ["slot", "outcome"])
RETRIES = Counter("pledgewatch_ingest_retries", "Transactions tried again, by SQLSTATE.", ["slot", "state"])
DROPS = Counter("pledgewatch_ingest_broker_drops", "Messages the broker threw away.", ["slot"])
WINDOW = Gauge("pledgewatch_ingest_window_used", "Messages received and not yet acknowledged.", ["slot"])
OLDEST = Gauge(
    "pledgewatch_ingest_oldest_unacked_seconds", "How long the oldest message in hand has waited.", ["slot"]
)
LAG = Gauge(
    "pledgewatch_ingest_commit_lag_seconds",
    "From publishing to commit, by the last probe; growing while one is not back.",
    ["slot"],
)
COMMIT_LAG = Histogram(
    "pledgewatch_ingest_publish_to_commit_seconds", "The same of every probe.", ["slot"], buckets=SECONDS
)
BATCH_SECONDS = Histogram(
    "pledgewatch_ingest_batch_seconds", "From a batch in hand to its commit.", ["slot"], buckets=SECONDS
)
BATCH_REPORTS = Histogram(
    "pledgewatch_ingest_batch_reports",
    "Reports in a batch.",
    ["slot"],
    buckets=(1, 10, 30, 100, 300, 1_000, 3_000, 10_000),
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
