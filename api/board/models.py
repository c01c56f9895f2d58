"""The models of the contract that several resources share."""

from __future__ import annotations

from datetime import date, datetime
from typing import TYPE_CHECKING, Any
from uuid import UUID

from pydantic import BaseModel, Field

if TYPE_CHECKING:
    from alerts.domain import Alert
    from api.board.store import PositionRow, VehicleRow


class Money(BaseModel):
    """Integer minor units and an ISO 4217 code."""

    amount_minor: int = Field(ge=-(2**63), lt=2**63)
    currency: str = Field(pattern=r"^[A-Z]{3}$")


class PositionOut(BaseModel):
    """The newest valid fix of a device; WGS-84. ``age_s`` is against telemetry time."""

    vehicle_id: str | None
    device_id: str
    t: datetime
    lat: float
    lon: float
    speed_kmh: float | None
    heading_deg: float | None
    ignition: bool | None
    age_s: int
    accuracy_m: float | None
    plate: str | None = None
    heard_at: datetime | None = Field(default=None, description="Newest report of any kind from the device.")

    @classmethod
    def of(cls, row: PositionRow, now: datetime) -> PositionOut:
        """Build from a row, with the age at ``now``."""
        return cls(
            vehicle_id=row.vehicle_id, device_id=row.device_id, t=row.t, lat=row.lat, lon=row.lon,
            speed_kmh=row.speed_kmh, heading_deg=row.heading_deg, ignition=row.ignition,
            age_s=max(0, int((now - row.t).total_seconds())), accuracy_m=row.accuracy_m,
            plate=row.plate, heard_at=row.heard_at,
        )  # fmt: skip


class AlertOut(BaseModel):
    """A row of the inbox: a risk (condition) and the work on it (work_state)."""

    id: UUID
    vehicle_id: str | None
    device_id: str | None
    plate: str | None = None
    org_id: str
    rule: str
    scope: str
    severity: str
    base_severity: str
    severity_why: list[str]
    condition: str
    work_state: str
    first_seen: datetime
    last_seen: datetime
    cleared_at: datetime | None
    count: int
    reopen_count: int
    late_by_s: int
    lat: float | None
    lon: float | None
    evidence: dict[str, Any]
    assignee: str | None
    resolution: str | None
    version: int

    @classmethod
    def of(cls, alert: Alert, plate: str | None = None) -> AlertOut:
        """Build from the domain's alert."""
        return cls(
            id=alert.alert_id, vehicle_id=alert.vehicle_id, device_id=alert.device_id, plate=plate,
            org_id=alert.org_id, rule=alert.rule, scope=alert.scope, severity=str(alert.severity),
            base_severity=str(alert.base_severity), severity_why=alert.severity_why,
            condition=str(alert.condition), work_state=str(alert.work_state), first_seen=alert.first_seen,
            last_seen=alert.last_seen, cleared_at=alert.cleared_at, count=alert.count,
            reopen_count=alert.reopen_count, late_by_s=alert.late_by_s, lat=alert.lat, lon=alert.lon,
            evidence=alert.evidence, assignee=alert.assignee, resolution=alert.resolution,
            version=alert.version,
        )  # fmt: skip


class LoanGlance(BaseModel):
    """The loan of a vehicle that matters most: open before paid, then most days past due."""

    loan_id: str
    collateral_form: str
    status: str
    days_past_due: int
    balance: Money
    next_due_on: date | None


class VehicleOut(BaseModel):
    """A vehicle with what a list or the map shows of it."""

    vehicle_id: str
    vin: str | None
    plate: str | None
    engine_number: str | None
    make: str | None
    model: str | None
    model_year: int | None
    colour: str | None
    first_registration: date | None
    use_character: str | None
    emission_stage: str | None
    custody: str
    org_id: str
    pledgor_id: str | None
    loan: LoanGlance | None
    open_alerts: int
    worst_severity: str | None
    last_heard_at: datetime | None
    version: int

    @classmethod
    def of(cls, row: VehicleRow) -> VehicleOut:
        """Build from a row."""
        loan = None
        if row.loan_id is not None:
            loan = LoanGlance(
                loan_id=row.loan_id,
                collateral_form=row.collateral_form or "",
                status=row.loan_status or "",
                days_past_due=row.days_past_due or 0,
                balance=Money(amount_minor=row.balance_minor or 0, currency=row.currency or "CNY"),
                next_due_on=row.next_due_on,
            )
        return cls(
            vehicle_id=row.vehicle_id, vin=row.vin, plate=row.plate, engine_number=row.engine_number,
            make=row.make, model=row.model, model_year=row.model_year, colour=row.colour,
            first_registration=row.first_registration, use_character=row.use_character,
            emission_stage=row.emission_stage, custody=row.custody, org_id=row.org_id,
            pledgor_id=row.pledgor_id, loan=loan, open_alerts=row.open_alerts,
            worst_severity=row.worst_severity, last_heard_at=row.last_heard_at, version=row.version,
        )  # fmt: skip
