"""Which odometer reading counts. Pure: kilometres never come back, so neither does the value."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

SLACK_KM = 100.0
"""A tracker counts wheel turns or satellite metres, a dashboard its own; below this they agree."""


@dataclass(frozen=True, slots=True)
class Reading:
    """Kilometres that somebody or something read; ``source`` is telemetry or inspection."""

    km: float
    source: str
    at: datetime


@dataclass(frozen=True, slots=True)
class Odometer:
    """The reading to value by. ``suspected``: a later reading lies below an earlier one."""

    km: float
    source: str
    at: datetime
    suspected: bool


def is_wound_back(known_km: float, later_km: float) -> bool:
    """Whether a later reading is so far below a known one that the meter was changed."""
    return later_km < known_km - SLACK_KM


def choose(readings: Iterable[Reading]) -> Odometer | None:
    """Return the greatest reading; a newer one that agrees within the slack says how fresh it is."""
    known = list(readings)
    if not known:
        return None
    greatest = max(known, key=lambda reading: (reading.km, reading.at))
    newest = max(known, key=lambda reading: (reading.at, reading.km))
    suspected = any(reading.at > greatest.at and is_wound_back(greatest.km, reading.km) for reading in known)
    fresh = newest if not is_wound_back(greatest.km, newest.km) else greatest
    return Odometer(greatest.km, fresh.source, fresh.at, suspected)
