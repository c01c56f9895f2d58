"""One boot of a device as a set of numbers: what came lies between low and high, minus the gaps.

Pure. Runs may come in any order, split in any way and repeated: the open gaps end up the same.
"""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass, field
from datetime import datetime
from typing import NamedTuple


class Run(NamedTuple):
    """Consecutive numbers received, with the event times of the first and the last."""

    low: int
    low_t: datetime
    high: int
    high_t: datetime


@dataclass(slots=True)
class Gap:
    """Consecutive numbers missing. ``gap_id`` is None until the row is written."""

    from_seq: int
    to_seq: int
    after_t: datetime
    before_t: datetime
    opened_at: datetime
    overdue_at: datetime | None = None
    gap_id: int | None = None
    touched: bool = False

    @property
    def missing(self) -> int:
        """Return how many numbers are missing."""
        return self.to_seq - self.from_seq + 1


@dataclass(slots=True)
class Sequence:
    """What is known of one boot: its ends, its open gaps in order, and those that were filled."""

    low: int
    low_t: datetime
    high: int
    high_t: datetime
    gaps: list[Gap] = field(default_factory=list)
    closed: list[Gap] = field(default_factory=list)

    @classmethod
    def begin(cls, run: Run) -> Sequence:
        """Return the sequence of a boot of which this is the first that is heard."""
        return cls(run.low, run.low_t, run.high, run.high_t)

    def take(self, run: Run, now: datetime) -> None:
        """Add numbers received; taking them again changes nothing."""
        self._fill(run)
        if run.high > self.high:
            if run.low > self.high + 1:
                self.gaps.append(Gap(self.high + 1, run.low - 1, self.high_t, run.low_t, now, touched=True))
            self.high, self.high_t = run.high, run.high_t
        if run.low < self.low:
            if run.high < self.low - 1:
                before = Gap(run.high + 1, self.low - 1, run.high_t, self.low_t, now, touched=True)
                self.gaps.insert(0, before)
            self.low, self.low_t = run.low, run.low_t

    def _fill(self, run: Run) -> None:
        at = bisect_left(self.gaps, run.low, key=lambda gap: gap.to_seq)
        while at < len(self.gaps) and self.gaps[at].from_seq <= run.high:
            gap = self.gaps[at]
            more_before, more_after = gap.from_seq < run.low, gap.to_seq > run.high
            if not more_before and not more_after:
                self.closed.append(self.gaps.pop(at))
                continue
            gap.touched = True
            if more_before and more_after:
                rest = Gap(
                    run.high + 1, gap.to_seq, run.high_t, gap.before_t, gap.opened_at, gap.overdue_at,
                    touched=True,
                )  # fmt: skip
                self.gaps.insert(at + 1, rest)
            if more_before:
                gap.to_seq, gap.before_t = run.low - 1, run.low_t
            else:
                gap.from_seq, gap.after_t = run.high + 1, run.high_t
            at += 1
