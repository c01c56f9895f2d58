"""What vehicles are worth: the latest estimate with its reasons, the history, and a new one on demand."""

from __future__ import annotations

from datetime import date, datetime
from typing import Annotated, Any

from fastapi import APIRouter, Query
from pydantic import BaseModel, ConfigDict, Field

from api.board.models import Money
from api.deps import Conn, Now, Who, Wired
from api.idempotency.once import OnlyOnce
from api.paging import Cursor, Limit, Page, cut, decode
from api.resources.vehicles import VehicleId, visible_vehicle
from core.db.pool import Connection
from core.errors import NotFound
from valuation.appraisals import store as appraisals
from valuation.appraisals.domain import Appraisal
from valuation.estimates import store
from valuation.ltv import store as ltv
from valuation.ltv.domain import Mark
from valuation.ltv.judge import DEFAULT
from valuation.service.mark import mark_vehicle
from valuation.vehicles.domain import Estimate
from valuation.vehicles.explain import explained
from valuation.vehicles.models import PROCESS_MODELS

router = APIRouter(tags=["valuations"])


class ValuationIn(BaseModel):
    """Which vehicle to value now."""

    model_config = ConfigDict(extra="forbid")

    vehicle_id: Annotated[str, Field(min_length=1, max_length=64, pattern=r"^[^\x00-\x1f/]+$")]


class StepOut(BaseModel):
    """One step of the explanation; the log effects add up, and so do the amounts."""

    name: str
    log_effect: float
    amount: Money


class ComparableOut(BaseModel):
    """A sale nearby: what was paid, and what that says of this vehicle."""

    observed_at: date
    odometer_km: float | None
    condition: float | None
    model_year: int | None
    price: Money
    adjusted: Money
    weight: float


class ValuationOut(BaseModel):
    """An estimate at auction level. Amounts are null without a usable model; ``cautions``: what to doubt."""

    id: int
    vehicle_id: str
    as_of: date
    status: str
    cautions: list[str]
    reason: str
    model_version: str
    channel: str | None
    channel_permille: int | None
    estimate: Money | None
    low90: Money | None
    high90: Money | None
    lending_value: Money | None
    thickness: float | None
    segment: str | None
    odometer_km: float | None
    odometer_source: str | None
    odometer_at: datetime | None
    condition: float | None
    manual_appraisal: Money | None
    recorded_by: str
    recorded_at: datetime

    @classmethod
    def of(cls, row: Estimate) -> ValuationOut:
        """Build from a row."""
        return cls(
            id=row.estimate_id, vehicle_id=row.vehicle_id, as_of=row.as_of, status=row.status,
            cautions=row.cautions, reason=row.reason, model_version=row.model_version, channel=row.channel,
            channel_permille=row.channel_permille, estimate=_money(row.estimate_minor, row.currency),
            low90=_money(row.low_minor, row.currency), high90=_money(row.high_minor, row.currency),
            lending_value=_money(row.lending_minor, row.currency), thickness=row.thickness,
            segment=row.segment, odometer_km=row.odometer_km, odometer_source=row.odometer_source,
            odometer_at=row.odometer_at, condition=row.condition,
            manual_appraisal=_money(row.appraisal_minor, row.currency), recorded_by=row.recorded_by,
            recorded_at=row.recorded_at,
        )  # fmt: skip


class LtvOut(BaseModel):
    """What a loan stands at against its vehicle. ``owed``: every live loan on the vehicle together.

    ``judged_ltv`` leaves out a new model's step that the market has not confirmed (``model_step``).
    """

    loan_id: str
    as_of: date
    balance: Money
    owed: Money
    basis: str
    value: Money | None
    smoothed_value: Money | None
    ltv: float | None
    judged_ltv: float | None
    model_step: float | None
    raised: bool
    severity: str | None
    why: str

    @classmethod
    def of(cls, mark: Mark) -> LtvOut:
        """Build from a mark."""
        return cls(
            loan_id=mark.loan_id, as_of=mark.as_of, basis=mark.basis, ltv=mark.ltv,
            balance=Money(amount_minor=mark.balance_minor, currency=mark.currency),
            owed=Money(amount_minor=mark.owed_minor, currency=mark.currency),
            value=_money(mark.value_minor, mark.currency),
            smoothed_value=_money(mark.smoothed_minor, mark.currency), judged_ltv=mark.judged_ltv,
            model_step=mark.model_step, raised=mark.raised, severity=mark.severity, why=mark.why,
        )  # fmt: skip


class AppraisalOut(BaseModel):
    """A person's figure, or the open question for one; the figure is null while it is open."""

    id: int
    vehicle_id: str
    state: str
    asked_because: list[str]
    asked_by: str
    asked_at: datetime
    inspection_id: int | None
    value: Money | None
    appraiser: str | None
    appraised_on: date | None
    valid_until: date | None
    reason: str | None
    recorded_by: str | None
    closed_at: datetime | None

    @classmethod
    def of(cls, row: Appraisal) -> AppraisalOut:
        """Build from a row."""
        return cls(
            id=row.appraisal_id, vehicle_id=row.vehicle_id, state=row.state, asked_because=row.asked_because,
            asked_by=row.asked_by, asked_at=row.asked_at, inspection_id=row.inspection_id,
            value=_money(row.value_minor, row.currency or ""), appraiser=row.appraiser,
            appraised_on=row.appraised_on, valid_until=row.valid_until, reason=row.reason,
            recorded_by=row.recorded_by, closed_at=row.closed_at,
        )  # fmt: skip


class ValuationDetail(ValuationOut):
    """The latest estimate with how it came about, what is owed over it, and what people said."""

    waterfall: list[StepOut]
    comparables: list[ComparableOut]
    loans: list[LtvOut]
    appraisals: list[AppraisalOut]
    raise_at: float
    clear_below: float


@router.get("/valuations")
def list_valuations(
    conn: Conn,
    asker: Who,
    vehicle_id: Annotated[str | None, Query(max_length=64)] = None,
    limit: Limit = 100,
    cursor: Cursor = None,
) -> Page[ValuationOut]:
    """List the estimates of your branches' vehicles, newest first."""
    key = decode(cursor, int)
    rows = store.list_estimates(
        conn, asker.org_ids, vehicle_id=vehicle_id, before=int(key[0]) if key else None, limit=limit + 1
    )
    shown, following = cut(rows, limit, lambda row: (row.estimate_id,))
    return Page(items=list(map(ValuationOut.of, shown)), next=following)


@router.post("/valuations", status_code=201)
def value_now(
    body: ValuationIn, conn: Conn, asker: Who, services: Wired, now: Now, once: OnlyOnce
) -> ValuationDetail:
    """Value a vehicle now, and mark its loans: the answer of the nightly run, with its reasons."""
    visible_vehicle(conn, asker, body.vehicle_id)

    def make() -> ValuationDetail:
        estimate = mark_vehicle(
            conn, PROCESS_MODELS, body.vehicle_id, now, services.settings.timezone, actor=asker.actor
        )
        return detail(conn, estimate)

    return once(ValuationDetail, make)


@router.get("/vehicles/{vehicle_id}/valuation")
def get_valuation(vehicle_id: VehicleId, conn: Conn, asker: Who) -> ValuationDetail:
    """Return the latest estimate of a vehicle, explained."""
    visible_vehicle(conn, asker, vehicle_id)
    estimate = store.newest_estimate(conn, vehicle_id)
    if estimate is None:
        raise NotFound(f"Expected an estimate of {vehicle_id}, it was never valued", code="never_valued")
    return detail(conn, estimate)


def detail(conn: Connection, estimate: Estimate) -> ValuationDetail:
    """Return an estimate with everything around it."""
    waterfall, comparables = explained(conn, PROCESS_MODELS, estimate)
    currency = estimate.currency
    return ValuationDetail(
        **ValuationOut.of(estimate).model_dump(),
        waterfall=[
            StepOut(
                name=step["name"], log_effect=step["log_effect"],
                amount=Money(amount_minor=step["amount_minor"], currency=currency),
            )
            for step in waterfall
        ],
        comparables=[_comparable(sale, currency) for sale in comparables],
        loans=list(map(LtvOut.of, ltv.marks_of_vehicle(conn, estimate.vehicle_id))),
        appraisals=list(map(AppraisalOut.of, appraisals.list_appraisals(conn, estimate.vehicle_id))),
        raise_at=DEFAULT.raise_at, clear_below=DEFAULT.clear_below,
    )  # fmt: skip


def _comparable(sale: dict[str, Any], currency: str) -> ComparableOut:
    amounts = {
        name: Money(amount_minor=sale[f"{name}_minor"], currency=currency) for name in ("price", "adjusted")
    }
    return ComparableOut(
        observed_at=sale["observed_at"], odometer_km=sale["odometer_km"], condition=sale["condition"],
        model_year=sale["model_year"], weight=sale["weight"], **amounts,
    )  # fmt: skip


def _money(amount_minor: int | None, currency: str) -> Money | None:
    return None if amount_minor is None else Money(amount_minor=amount_minor, currency=currency)
