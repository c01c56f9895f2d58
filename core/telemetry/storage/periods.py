"""How long what is kept, and when a chunk is settled enough for the columnstore."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from core.errors import Misconfigured

if TYPE_CHECKING:
    from core.policy.pack import Pack

LATEST_ARRIVAL = timedelta(days=90)
"""Older reports are undated (ingest/plausible.py); nothing dated can arrive in a day before that."""
LEAST_RAW = LATEST_ARRIVAL + timedelta(days=2)
"""A dropped day must never be written again: its hours would be added up from what came last alone."""
USUAL_LATENESS = timedelta(days=7)
"""Trackers buffer for days at most. Later reports are stored as well, at the price of a compressed chunk
that is opened and compressed again."""
COLUMNSTORE_AFTER = USUAL_LATENESS + timedelta(days=1)
ROLLUP_LAG = timedelta(hours=2)
"""Younger hours still change with every batch: the views add them up on the spot."""


@dataclass(frozen=True, slots=True)
class Periods:
    """Retention; each longer than the one before."""

    raw: timedelta
    hourly: timedelta
    daily: timedelta

    def __post_init__(self) -> None:
        if not LEAST_RAW <= self.raw <= self.hourly <= self.daily:
            raise Misconfigured(
                f"Retention: expected {LEAST_RAW.days} days <= reports <= hours <= days, was"
                f" {self.raw.days}, {self.hourly.days} and {self.daily.days} days",
                code="bad_retention",
            )


def periods_of(pack: Pack) -> Periods:
    """Return the periods that a policy pack asks for.

    Raises:
        Misconfigured: they contradict each other, or the lateness that ingest accepts.
    """
    return Periods(pack.keep_reports, pack.keep_hours, pack.keep_days)
