"""Every clock of Pledgewatch; nothing else may ask the machine for the time.

*Telemetry time* is what rules and deadlines run on (architecture, decision 7):

* ``wall``              the machine's UTC time;
* ``scaled:START:RATE`` starts at START when the deployment first opens it, runs RATE times as
  fast until it meets the wall clock, then at rate 1. The anchor is kept in the database, so a
  restarted process goes on where the others are;
* ``data``              the greatest event time stored so far, for recorded files.

Leases, sign-in and auctions use database time instead.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Protocol

from core.errors import Misconfigured

DATA_CLOCK_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def wall_now() -> datetime:
    """Return the machine's time, aware, UTC."""
    return datetime.now(UTC)


def to_ms(moment: datetime) -> int:
    """Return Unix milliseconds of an aware datetime (floor)."""
    delta = moment - DATA_CLOCK_EPOCH
    return (delta.days * 86_400 + delta.seconds) * 1_000 + delta.microseconds // 1_000


def from_ms(moment_ms: int) -> datetime:
    """Return the aware UTC datetime of Unix milliseconds."""
    return DATA_CLOCK_EPOCH + timedelta(milliseconds=moment_ms)


def monotonic() -> float:
    """Return seconds of a clock that never jumps; for durations only."""
    return time.monotonic()


class Clock(Protocol):
    """Telemetry time."""

    def now(self) -> datetime:
        """Return telemetry time, aware, UTC."""
        ...

    @property
    def bounded(self) -> bool:
        """Whether reports far from now are undated (false under the data clock)."""
        ...


class WallClock:
    """Telemetry time is the machine's time."""

    bounded = True

    def now(self) -> datetime:
        """Return the machine's time."""
        return wall_now()


@dataclass(frozen=True, slots=True)
class ScaledClock:
    """Runs from ``start`` at ``rate`` until it meets the wall clock, then with it."""

    start: datetime
    rate: float
    anchored_at: datetime
    bounded: bool = True

    def at(self, wall: datetime) -> datetime:
        """Return telemetry time at a moment of the wall clock."""
        scaled = self.start + (wall - self.anchored_at) * self.rate
        return min(scaled, wall)

    def now(self) -> datetime:
        """Return telemetry time."""
        return self.at(wall_now())

    def meets_wall_at(self) -> datetime:
        """Return the wall time at which the scaled clock reaches now."""
        if self.rate <= 1.0:
            return self.anchored_at
        behind = self.anchored_at - self.start
        return self.anchored_at + behind / (self.rate - 1.0)


class DataClock:
    """Telemetry time is the greatest event time seen; advanced by whoever stores reports."""

    bounded = False

    def __init__(self, seen: datetime = DATA_CLOCK_EPOCH) -> None:
        self._seen = seen

    def observe(self, moment: datetime) -> None:
        """Move time forward to ``moment``; never back."""
        self._seen = max(self._seen, moment)

    def now(self) -> datetime:
        """Return the greatest event time seen."""
        return self._seen


@dataclass(frozen=True, slots=True)
class ClockSpec:
    """The parsed setting ``PLEDGEWATCH_TELEMETRY_CLOCK``."""

    kind: str
    start: datetime | None = None
    rate: float = 1.0


def parse_clock_spec(text: str) -> ClockSpec:
    """Parse ``wall``, ``data`` or ``scaled:START:RATE`` (START in RFC 3339).

    Raises:
        Misconfigured: the text has another form.
    """
    if text in {"wall", "data"}:
        return ClockSpec(text)
    if text.startswith("scaled:"):
        start_text, _, rate_text = text.removeprefix("scaled:").rpartition(":")
        try:
            start = datetime.fromisoformat(start_text)
            rate = float(rate_text)
        except ValueError as exc:
            raise _bad_spec(text) from exc
        if start.tzinfo is None:
            start = start.replace(tzinfo=UTC)
        if rate >= 1.0:
            return ClockSpec("scaled", start.astimezone(UTC), rate)
    raise _bad_spec(text)


def _bad_spec(text: str) -> Misconfigured:
    return Misconfigured(
        "PLEDGEWATCH_TELEMETRY_CLOCK: expected wall, data or scaled:START:RATE with START in "
        f"RFC 3339 and RATE >= 1 (scaled:2026-11-01T00:00:00Z:600), was {text!r}",
        code="bad_telemetry_clock",
    )
