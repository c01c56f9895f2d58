"""A manual appraisal: an open question, or a figure with a name, a reason and an end."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, timedelta

VALID_FOR = timedelta(days=180)
"""How long a figure stands when its author does not say; a policy default, shown with the figure."""
VALID_MOST = timedelta(days=366)
OVERRIDE = "override"
"""Asked because nobody asked: staff put a figure beside the model's."""
EXPIRED = "appraisal_expired"


@dataclass(frozen=True, slots=True)
class Appraisal:
    """As stored. ``value_minor`` and what follows are None while the question is open."""

    appraisal_id: int
    vehicle_id: str
    state: str
    asked_because: list[str]
    inspection_id: int | None
    asked_by: str
    asked_at: datetime
    value_minor: int | None
    currency: str | None
    appraiser: str | None
    appraised_on: date | None
    valid_until: date | None
    reason: str | None
    recorded_by: str | None
    closed_at: datetime | None

    @property
    def is_open(self) -> bool:
        """Whether the question waits for an answer."""
        return self.state == "open"


@dataclass(frozen=True, slots=True)
class Figure:
    """An appraiser's answer."""

    value_minor: int
    currency: str
    appraiser: str
    appraised_on: date
    reason: str
    valid_until: date | None = None
