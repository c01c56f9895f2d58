"""How often a wired tracker speaks: as its contract says, or cheaper in a story's past."""

from __future__ import annotations

from dataclasses import dataclass

from simulator.domain import FleetDevice


@dataclass(frozen=True, slots=True)
class Sampling:
    """Milliseconds between reports, before and after a moment."""

    moving_ms: int
    parked_ms: int
    sleep_ms: int
    past_until_ms: int = 0
    past_moving_ms: int = 0
    past_parked_ms: int = 0

    @classmethod
    def of(cls, device: FleetDevice) -> Sampling:
        """Return what the device's profile promises."""
        return cls(device.moving_s * 1000, device.parked_s * 1000, device.sleep_s * 1000)

    def is_past(self, t_ms: int) -> bool:
        """Tell whether reports of this moment are thinned."""
        return t_ms < self.past_until_ms

    def moving(self, t_ms: int) -> int:
        """Return the pause after a report under way."""
        return self.past_moving_ms if self.is_past(t_ms) else self.moving_ms

    def parked(self, t_ms: int) -> int:
        """Return the pause after a report while parked and awake."""
        return self.past_parked_ms if self.is_past(t_ms) else self.parked_ms
