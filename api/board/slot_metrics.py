"""The figures of every slot as Prometheus gauges: one scrape of the API shows all ingest processes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, Gauge

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ingest.slots.health import SlotHealth, SlotRow

FIGURES: dict[str, tuple[str, str]] = {
    "pledgewatch_slot_lag_seconds": (
        "lag_s",
        "From publishing to commit, by the last probe; growing while one is not back.",
    ),
    "pledgewatch_slot_oldest_unacked_seconds": (
        "oldest_unacked_s",
        "The longest wait for an acknowledgement, last second.",
    ),
    "pledgewatch_slot_window_used": (
        "window_used",
        "Messages received and not yet acknowledged, at most, last second.",
    ),
    "pledgewatch_slot_batch_reports": (
        "batch_reports",
        "Reports in a batch, on average over the last second.",
    ),
    "pledgewatch_slot_commit_seconds": (
        "commit_s",
        "Seconds of a batch's transaction, on average over the last second.",
    ),
    "pledgewatch_slot_batches_total": ("batches", "Batches committed since the worker began."),
    "pledgewatch_slot_reports_total": ("reports", "Reports committed since the worker began."),
    "pledgewatch_slot_rejects_total": ("rejects", "Reports refused since the worker began."),
    "pledgewatch_slot_retries_total": ("retries", "Transactions tried again since the worker began."),
    "pledgewatch_slot_broker_drops_total": (
        "broker_drops",
        "Messages the broker threw away since the worker began.",
    ),
}
"""Metric -> (figure of a slot's row, what it means)."""


def show_slots(registry: CollectorRegistry, rows: Sequence[SlotRow], verdicts: Sequence[SlotHealth]) -> None:
    """Add a gauge with a label ``slot`` for every figure, and whether the slot is well."""
    good = Gauge(
        "pledgewatch_slot_good", "1 when nothing has to be done about the slot.", ["slot", "state"],
        registry=registry,
    )  # fmt: skip
    for verdict in verdicts:
        good.labels(verdict.slot, verdict.state).set(verdict.good)
    for name, (figure, text) in FIGURES.items():
        gauge = Gauge(name, text, ["slot"], registry=registry)
        for row in rows:
            gauge.labels(row.slot).set(getattr(row, figure))
