"""What a tracker's sensors say: a wandering GNSS position, voltages, signal strength."""

from __future__ import annotations

import math
import random
from dataclasses import dataclass

from simulator.city.network import Point, to_wgs84

PARKED_SIGMA_M = (3.0, 8.0)
MOVING_SHARE = 0.5
DRIFT_MEMORY_S = 240.0
OUTLIER_ONE_IN = 4_000
OUTLIER_M = (300.0, 900.0)
CHARGING_V, REST_V, CUT_V = 13.8, 12.6, 0.15
REST_LOSS_V_PER_H = 0.004
REST_LOWEST_V = 12.2
BACKUP_PCT_PER_H = 5.0


@dataclass(slots=True)
class Gnss:
    """A receiver whose error drifts: parked vehicles wander a few metres, and seldom jump."""

    rng: random.Random
    sigma_m: float
    error: Point = (0.0, 0.0)
    at_ms: int = 0

    @classmethod
    def of(cls, rng: random.Random) -> Gnss:
        """Return a receiver with its own quality."""
        return cls(rng, rng.uniform(*PARKED_SIGMA_M))

    def fix(self, point: Point, t_ms: int, *, moving: bool, may_jump: bool = True) -> dict[str, object]:
        """Return the wire fields of a fix at a true point."""
        rng = self.rng
        memory = math.exp(-max(t_ms - self.at_ms, 0) / 1000.0 / DRIFT_MEMORY_S)
        spread = self.sigma_m * (MOVING_SHARE if moving else 1.0) * math.sqrt(1 - memory * memory)
        self.error = (
            self.error[0] * memory + rng.gauss(0, spread),
            self.error[1] * memory + rng.gauss(0, spread),
        )
        self.at_ms = t_ms
        x, y = point[0] + self.error[0], point[1] + self.error[1]
        if may_jump and rng.random() * OUTLIER_ONE_IN < 1.0:
            # Multipath: nothing in the report says so.
            angle, jump = rng.uniform(0, 2 * math.pi), rng.uniform(*OUTLIER_M)
            x, y = x + jump * math.cos(angle), y + jump * math.sin(angle)
        lat, lon = to_wgs84((x, y))
        return {
            "fix_valid": True,
            "lat": round(lat, 6),
            "lon": round(lon, 6),
            "accuracy_m": round(self.sigma_m * rng.uniform(0.9, 1.6), 1),
            "sat": rng.randint(8, 17),
            "hdop": round(rng.uniform(0.7, 1.6), 1),
        }


@dataclass(slots=True)
class Power:
    """The vehicle's 12 V supply and the tracker's own cell."""

    rng: random.Random
    backup_pct: float = 100.0
    cut_since_ms: int | None = None

    def fields(self, t_ms: int, *, engine: bool, parked_h: float, cut: bool) -> dict[str, object]:
        """Return the wire fields of the supply."""
        if cut:
            if self.cut_since_ms is None:
                self.cut_since_ms = t_ms
            left = self.backup_pct - (t_ms - self.cut_since_ms) / 3.6e6 * BACKUP_PCT_PER_H
            volts = CUT_V + self.rng.uniform(-0.1, 0.1)
            return {"ext_power_v": round(volts, 2), "ext_power_ok": False, "batt_pct": max(1, round(left))}
        self.cut_since_ms = None
        rest_v = max(REST_LOWEST_V, REST_V - REST_LOSS_V_PER_H * parked_h)
        volts = (CHARGING_V if engine else rest_v) + self.rng.gauss(0, 0.06)
        return {"ext_power_v": round(volts, 2), "ext_power_ok": True, "batt_pct": round(self.backup_pct)}
