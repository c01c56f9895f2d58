"""An inspection, and the flags that take a vehicle's value out of the model's hands."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

FLAGS = ("major_accident", "flood", "fire", "odometer_tampering")
"""No public sales teach what these cost (docs/adr/0013): a person says what the vehicle is worth."""

CONDITION_LEAST, CONDITION_MOST = 1.0, 5.0
ODOMETER_MOST_KM = 2_000_000.0
"""Beyond it a reading is a fault of the meter or of typing."""


@dataclass(frozen=True, slots=True)
class NewInspection:
    """What is told of an inspection; ``condition`` from 1 (rough) to 5 (as new), None: not graded."""

    vehicle_id: str
    inspected_at: datetime
    inspector: str
    odometer_km: float | None = None
    condition: float | None = None
    flags: frozenset[str] = frozenset()
    note: str = ""
    photos: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Inspection:
    """An inspection as stored."""

    inspection_id: int
    vehicle_id: str
    inspected_at: datetime
    inspector: str
    odometer_km: float | None
    condition: float | None
    flags: tuple[str, ...]
    note: str
    photos: tuple[str, ...]
    recorded_by: str
    recorded_at: datetime
