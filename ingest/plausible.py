"""Whether the time a report carries can be believed (architecture, decision 7; geofence.md 4.5)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ingest import reasons

if TYPE_CHECKING:
    from core.domain.report import Report

FUTURE_MS = 10 * 60 * 1000
PAST_MS = 90 * 86_400 * 1000
FLOOR_MS = 1_420_070_400_000
"""2015-01-01: older than any device in the field, younger than the dates that dead batteries wake up to."""
EARLIEST_MS = 0
LATEST_MS = 7_258_118_400_000
"""2200-01-01; with EARLIEST_MS what even a recorded file cannot leave."""


def undated_reason(report: Report, now_ms: int, *, bounded: bool) -> str | None:
    """Return why the report is undated, None when its time is plausible.

    ``bounded`` is false under the data clock: recorded files are of any age.
    """
    if report.fix_ms is None and report.device_ms is None:
        return reasons.NO_TIME
    t_ms = report.t_ms
    if not EARLIEST_MS <= t_ms < LATEST_MS:
        return reasons.IMPLAUSIBLE
    if not bounded:
        return None
    if t_ms < FLOOR_MS:
        return reasons.IMPLAUSIBLE
    if t_ms > now_ms + FUTURE_MS:
        return reasons.CLOCK_FUTURE
    if t_ms < now_ms - PAST_MS:
        return reasons.CLOCK_PAST
    return None
