"""A mark: what a loan stood at against its vehicle on one day."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime


@dataclass(frozen=True, slots=True)
class NewMark:
    """A mark before it is written."""

    loan_id: str
    vehicle_id: str
    estimate_id: int | None
    as_of: date
    marked_at: datetime
    currency: str
    balance_minor: int
    owed_minor: int
    basis: str
    value_minor: int | None
    smoothed_minor: int | None
    lending_minor: int | None
    condition: float | None
    model_version: str
    model_step: float | None
    rebase: float
    ltv: float | None
    judged_ltv: float | None
    raised: bool
    severity: str | None
    episode_at: datetime | None
    why: str


@dataclass(frozen=True, slots=True)
class Mark(NewMark):
    """As stored."""

    mark_id: int
