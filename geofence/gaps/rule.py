"""What a device's overdue gaps mean. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import NamedTuple

import msgspec

from core.clock import from_ms, to_ms
from core.domain.finding import Finding, Severity

NAME = "DATA_GAP"
CODE = "G-06"
TITLE = "Data gap 数据缺口"
SEVERITY = Severity.P4
CLEARS = "every gap of the device was filled by late data"
RULE_VERSION = 1
TOLD_GAPS = 10


class GapThresholds(msgspec.Struct, frozen=True, kw_only=True):
    """DATA_GAP; ours, the reference gives no number. How long a device keeps reports is a setting."""

    settle_s: int = 3600
    """A gap noticed just now may be an upload under way, newest first."""
    serious_s: int = 6 * 3600
    """So long without a report of its own is a hole in which a vehicle can change hands."""


class OverdueGap(NamedTuple):
    """An open gap that has outlived the device's buffer; ``fresh`` when nobody was told yet."""

    device_id: str
    boot_id: int
    from_seq: int
    to_seq: int
    after_t: datetime
    before_t: datetime
    buffer_days: float
    fresh: bool

    @property
    def missing(self) -> int:
        """Return how many reports never came."""
        return self.to_seq - self.from_seq + 1

    @property
    def span_s(self) -> int:
        """Return the event time between the reports around the gap."""
        return max(0, round((self.before_t - self.after_t) / timedelta(seconds=1)))

    @property
    def since(self) -> datetime:
        """Return the event time up to which nothing is missing."""
        return min(self.after_t, self.before_t)


class Episode(NamedTuple):
    """A device with DATA_GAP raised: for which vehicle, since when."""

    device_id: str
    vehicle_id: str | None
    raised_at: datetime


def raise_finding(
    device_id: str,
    vehicle_id: str | None,
    gaps: Sequence[OverdueGap],
    episode: Episode | None,
    now: datetime,
    limits: GapThresholds,
) -> Finding:
    """Return the finding that a device has overdue gaps, some of them new."""
    longest = max(gaps, key=lambda gap: (gap.span_s, gap.missing))
    serious = longest.span_s >= limits.serious_s
    oldest = min(gaps, key=lambda gap: gap.since)
    # The database keeps microseconds, a finding milliseconds: raise and clear must agree.
    begun = now if episode is None else episode.raised_at
    return Finding(
        vehicle_id=vehicle_id, device_id=device_id, rule=NAME, scope=device_id, event="raise",
        event_ms=to_ms(now), detected_ms=to_ms(now), episode_ms=to_ms(begun),
        severity=SEVERITY.raised(1) if serious else SEVERITY,
        evidence={
            "missing_reports": sum(gap.missing for gap in gaps),
            "open_gaps": len(gaps),
            "oldest_gap_ms": to_ms(oldest.since),
            "longest_gap_s": longest.span_s,
            "buffer_s": round(max(gap.buffer_days for gap in gaps) * 86_400),
            "gaps": [_told(gap) for gap in sorted(gaps, key=lambda gap: gap.since)[:TOLD_GAPS]],
            "thresholds": msgspec.to_builtins(limits),
            "rule_version": RULE_VERSION,
        },
    )  # fmt: skip


def clear_finding(episode: Episode, now: datetime, why: str) -> Finding:
    """Return the finding that nothing overdue is missing any more."""
    return Finding(
        vehicle_id=episode.vehicle_id, device_id=episode.device_id, rule=NAME, scope=episode.device_id,
        event="clear", event_ms=to_ms(now), detected_ms=to_ms(now), episode_ms=to_ms(episode.raised_at),
        evidence={"ended_by": why, "rule_version": RULE_VERSION},
    )  # fmt: skip


def whole_ms(moment: datetime) -> datetime:
    """Return a moment as a finding keeps it."""
    return from_ms(to_ms(moment))


def _told(gap: OverdueGap) -> dict[str, object]:
    return {
        "boot_id": gap.boot_id,
        "from_seq": gap.from_seq,
        "to_seq": gap.to_seq,
        "missing": gap.missing,
        "after": gap.after_t.isoformat(),
        "before": gap.before_t.isoformat(),
    }
