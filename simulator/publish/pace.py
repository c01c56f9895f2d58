"""When simulated time is: at a speed, with the deployment's clock, or as fast as it goes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from core.clock import monotonic, to_ms

POLL_S = 0.02


class Pace(Protocol):
    """Tells which reports are due."""

    def now_ms(self) -> int | None:
        """Return simulated time; None: everything is due."""
        ...

    def wait_s(self, due_ms: int) -> float:
        """Return how long to wait at most before a report that is due at ``due_ms``."""
        ...


class Unpaced:
    """As fast as the broker acknowledges."""

    def now_ms(self) -> int | None:
        return None

    def wait_s(self, due_ms: int) -> float:
        return 0.0


@dataclass(slots=True)
class SpeedPace:
    """Simulated time runs ``speed`` times as fast as real time, from ``start_ms``."""

    start_ms: int
    speed: float
    _began_s: float | None = None

    def now_ms(self) -> int | None:
        if self._began_s is None:
            self._began_s = monotonic()
        return self.start_ms + int((monotonic() - self._began_s) * 1000.0 * self.speed)

    def wait_s(self, due_ms: int) -> float:
        now_ms = self.now_ms()
        return 0.0 if now_ms is None else min(max(due_ms - now_ms, 0) / 1000.0 / self.speed, POLL_S * 5)


@dataclass(slots=True)
class ClockPace:
    """Simulated time is somebody else's clock: the deployment's telemetry time."""

    now: Callable[[], datetime]

    def now_ms(self) -> int | None:
        return to_ms(self.now())

    def wait_s(self, due_ms: int) -> float:
        return POLL_S  # its speed is not ours to know
