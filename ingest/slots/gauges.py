"""How a slot fares, from what its worker does: the row others read, and the process's own metrics."""

from __future__ import annotations

from typing import TYPE_CHECKING

from core.clock import monotonic
from ingest import metrics
from ingest.slots.store import SlotFigures

if TYPE_CHECKING:
    from ingest.domain import Counts
    from ingest.transport import IngestTransport


class SlotGauges:
    """Of one slot. Peaks are kept between two figures, so that none falls between them."""

    def __init__(self, slot: int, transport: IngestTransport) -> None:
        self._slot = slot
        self._transport = transport
        self._oldest_at_s: float | None = None
        self._oldest_peak_s = 0.0
        self._window_peak = 0
        self._lag_s = 0.0
        self._probe_sent_s: float | None = None
        self._rejects = self._retries = self._drops = self._batches = self._reports = 0
        self._recent_batches = self._recent_reports = 0
        self._recent_commit_s = 0.0
        metrics.OLDEST.labels(slot).set_function(self._oldest_s)
        metrics.LAG.labels(slot).set_function(self._current_lag_s)
        metrics.WINDOW.labels(slot).set_function(lambda: self._transport.window_used)

    def close(self) -> None:
        """Show nothing of a slot that somebody else serves now."""
        for gauge in (metrics.OLDEST, metrics.LAG, metrics.WINDOW):
            gauge.remove(self._slot)

    def received(self, arrived_s: float) -> None:
        """A batch is in hand whose oldest message came at ``arrived_s``."""
        self._oldest_at_s = arrived_s
        self._window_peak = max(self._window_peak, self._transport.window_used)

    def committed(self, counts: Counts, took_s: float) -> None:
        """Count a batch that is durable."""
        self._batches += 1
        self._recent_batches += 1
        self._reports += counts.received
        self._recent_reports += counts.received
        self._recent_commit_s += took_s
        self._rejects += counts.quarantined + counts.dead
        metrics.count(self._slot, counts)
        metrics.BATCH_REPORTS.labels(self._slot).observe(counts.received)
        metrics.BATCH_SECONDS.labels(self._slot).observe(took_s)

    def acknowledged(self) -> None:
        """Let go of what was in hand."""
        self._oldest_peak_s = max(self._oldest_peak_s, self._oldest_s())
        self._oldest_at_s = None

    def probe_sent(self) -> None:
        """Time the oldest probe that is not back."""
        if self._probe_sent_s is None:
            self._probe_sent_s = monotonic()

    def probe_stored(self, lag_s: float) -> None:
        """Note how long a probe took from its publishing to its commit."""
        self._lag_s = max(0.0, lag_s)
        self._probe_sent_s = None
        metrics.COMMIT_LAG.labels(self._slot).observe(self._lag_s)

    def retried(self, state: str) -> None:
        """Count a transaction that has to be tried again."""
        self._retries += 1
        metrics.RETRIES.labels(self._slot, state).inc()

    def dropped(self, messages: int) -> None:
        """Count what the broker threw away."""
        self._drops += messages
        metrics.DROPS.labels(self._slot).inc(messages)

    def figures(self) -> SlotFigures:
        """Return what to write into the slot's row, and begin with new peaks."""
        batches = max(1, self._recent_batches)
        figures = SlotFigures(
            oldest_unacked_s=max(self._oldest_peak_s, self._oldest_s()),
            window_used=max(self._window_peak, self._transport.window_used),
            connections=self._transport.connections,
            rejects=self._rejects,
            retries=self._retries,
            connected=self._transport.ready,
            lag_s=self._current_lag_s(),
            broker_drops=self._drops,
            batches=self._batches,
            reports=self._reports,
            batch_reports=self._recent_reports / batches,
            commit_s=self._recent_commit_s / batches,
        )
        self._oldest_peak_s, self._window_peak = 0.0, 0
        self._recent_batches = self._recent_reports = 0
        self._recent_commit_s = 0.0
        return figures

    def _oldest_s(self) -> float:
        return 0.0 if self._oldest_at_s is None else max(0.0, monotonic() - self._oldest_at_s)

    def _current_lag_s(self) -> float:
        """Return the last probe's, or the wait of one that is not back, or of what is stuck in hand."""
        waiting = 0.0 if self._probe_sent_s is None else monotonic() - self._probe_sent_s
        return max(self._lag_s, waiting, self._oldest_s())
