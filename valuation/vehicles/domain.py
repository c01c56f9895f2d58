"""What is known of a pledged vehicle, and what follows for its value."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from enum import StrEnum
from typing import Any

from valuation.appraisals.domain import Appraisal
from valuation.vehicles.odometer import Odometer

STALE_AFTER = timedelta(days=45)
WIDE_AT = 0.50
THIN_BELOW = 5.0
"""Beyond these an estimate is not trusted without a new look (reference/valuation.md 6, step 12)."""


class Status(StrEnum):
    """How far an estimate may be trusted; the first that applies, from the bottom up."""

    VALUED = "valued"
    STALE = "stale"
    WIDE = "wide"
    THIN = "thin"
    NEEDS_MANUAL_APPRAISAL = "needs_manual_appraisal"
    NOT_VALUED = "not_valued"


@dataclass(frozen=True, slots=True)
class Owed:
    """A live loan on a vehicle."""

    loan_id: str
    vehicle_id: str
    currency: str
    balance_minor: int


@dataclass(frozen=True, slots=True)
class Facts:
    """A vehicle as the registry, its devices, inspectors and appraisers know it."""

    vehicle_id: str
    known_at: datetime
    """Telemetry time up to which this was known."""
    vin: str | None
    make: str | None
    model: str | None
    model_year: int | None
    first_registration: date | None
    colour: str | None
    odometer: Odometer | None
    condition: float | None
    condition_source: str | None
    open_appraisal_id: int | None
    appraisal: Appraisal | None
    """The newest answered one, whether still in force or not."""


@dataclass(frozen=True, slots=True)
class Valued:
    """An estimate before it is written; amounts are None without a usable model."""

    facts: Facts
    as_of: date
    status: Status
    currency: str
    cautions: tuple[str, ...] = ()
    reason: str = ""
    model_version: str = ""
    channel: str | None = None
    channel_permille: int | None = None
    estimate_minor: int | None = None
    low_minor: int | None = None
    high_minor: int | None = None
    lending_minor: int | None = None
    thickness: float | None = None
    segment: str | None = None
    previous_model_minor: int | None = None
    """What the model of the mark before says today of the same facts; None when it is the same model."""
    inputs: dict[str, Any] = field(default_factory=dict, hash=False)
    waterfall: list[dict[str, Any]] | None = field(default=None, hash=False)
    comparables: list[dict[str, Any]] | None = field(default=None, hash=False)

    @property
    def appraisal_in_force(self) -> Appraisal | None:
        """Return the appraiser's figure that stands on the day, in this currency."""
        figure = self.facts.appraisal
        if figure is None or figure.valid_until is None or figure.currency != self.currency:
            return None
        return figure if figure.valid_until >= self.as_of else None


@dataclass(frozen=True, slots=True)
class Estimate:
    """An estimate as stored."""

    estimate_id: int
    vehicle_id: str
    as_of: date
    cause: str
    status: str
    cautions: list[str]
    reason: str
    model_version: str
    currency: str
    channel: str | None
    channel_permille: int | None
    estimate_minor: int | None
    low_minor: int | None
    high_minor: int | None
    lending_minor: int | None
    thickness: float | None
    segment: str | None
    odometer_km: float | None
    odometer_source: str | None
    odometer_at: datetime | None
    condition: float | None
    condition_source: str | None
    appraisal_id: int | None
    appraisal_minor: int | None
    inputs: dict[str, Any]
    waterfall: list[dict[str, Any]] | None
    comparables: list[dict[str, Any]] | None
    recorded_by: str
    recorded_at: datetime
