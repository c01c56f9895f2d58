"""Inspections, and the manual appraisals that their flags ask for."""

from __future__ import annotations

from datetime import date, datetime
from typing import Annotated, Literal

from fastapi import APIRouter, Query
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, StrictInt

from api.deps import Conn, Now, Who, Wired
from api.idempotency.once import OnlyOnce
from api.paging import Cursor, Limit, Page, cut, decode
from api.resources.valuations import AppraisalOut
from api.resources.vehicles import VehicleId, visible_vehicle
from core.db.pool import Connection
from core.settings import Settings
from valuation.appraisals import actions as appraisals
from valuation.appraisals import store as appraisal_store
from valuation.appraisals.domain import Appraisal, Figure
from valuation.inspections import actions, store
from valuation.inspections.domain import (
    CONDITION_LEAST,
    CONDITION_MOST,
    ODOMETER_MOST_KM,
    Inspection,
    NewInspection,
)
from valuation.service.mark import day_of, mark_vehicle
from valuation.vehicles.models import PROCESS_MODELS

router = APIRouter(tags=["inspections"])

Id = Annotated[str, Field(min_length=1, max_length=64, pattern=r"^[^\x00-\x1f/]+$")]
Line = Annotated[str, Field(min_length=1, max_length=100, pattern=r"^[^\x00]*$")]
Flag = Literal["major_accident", "flood", "fire", "odometer_tampering"]


class InspectionIn(BaseModel):
    """What the inspector saw; ``photos`` are SHA-256 digests. Any flag asks for a manual appraisal."""

    model_config = ConfigDict(extra="forbid")

    vehicle_id: Id
    inspected_at: AwareDatetime
    inspector: Line
    odometer_km: Annotated[float, Field(ge=0, le=ODOMETER_MOST_KM, allow_inf_nan=False)] | None = None
    condition: Annotated[float, Field(ge=CONDITION_LEAST, le=CONDITION_MOST, allow_inf_nan=False)] | None = (
        None
    )
    flags: Annotated[list[Flag], Field(max_length=4)] = []
    note: Annotated[str, Field(max_length=2000, pattern=r"^[^\x00]*$")] = ""
    photos: Annotated[
        list[Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]], Field(max_length=actions.PHOTOS_MOST)
    ] = []


class InspectionOut(BaseModel):
    """An inspection as recorded."""

    id: int
    vehicle_id: str
    inspected_at: datetime
    inspector: str
    odometer_km: float | None
    condition: float | None
    flags: list[str]
    note: str
    photos: list[str]
    recorded_by: str
    recorded_at: datetime

    @classmethod
    def of(cls, row: Inspection) -> InspectionOut:
        """Build from a row."""
        return cls(
            id=row.inspection_id, vehicle_id=row.vehicle_id, inspected_at=row.inspected_at,
            inspector=row.inspector, odometer_km=row.odometer_km, condition=row.condition,
            flags=list(row.flags), note=row.note, photos=list(row.photos), recorded_by=row.recorded_by,
            recorded_at=row.recorded_at,
        )  # fmt: skip


class InspectionDone(InspectionOut):
    """With what follows: the question to an appraiser, and flags that the odometer suggests."""

    manual_appraisal: AppraisalOut | None
    suggested_flags: list[str]


class ValueIn(BaseModel):
    """An amount, strictly whole minor units: a float, a text or a truth value is refused."""

    model_config = ConfigDict(extra="forbid")

    amount_minor: Annotated[StrictInt, Field(gt=0, le=appraisals.LARGEST_MINOR)]
    currency: Annotated[str, Field(pattern=r"^[A-Z]{3}$")]


class AppraisalIn(BaseModel):
    """An appraiser's figure; it answers the open question, or stands beside the model as an override."""

    model_config = ConfigDict(extra="forbid")

    value: ValueIn
    appraiser: Line
    appraised_on: date
    reason: Annotated[str, Field(min_length=1, max_length=2000, pattern=r"^[^\x00]*$")]
    valid_until: date | None = None


@router.get("/inspections")
def list_inspections(
    conn: Conn,
    asker: Who,
    vehicle_id: Annotated[str | None, Query(max_length=64)] = None,
    limit: Limit = 100,
    cursor: Cursor = None,
) -> Page[InspectionOut]:
    """List the inspections of your branches' vehicles, newest record first."""
    key = decode(cursor, int)
    rows = store.list_inspections(
        conn, asker.org_ids, vehicle_id=vehicle_id, before=int(key[0]) if key else None, limit=limit + 1
    )
    shown, following = cut(rows, limit, lambda row: (row.inspection_id,))
    return Page(items=list(map(InspectionOut.of, shown)), next=following)


@router.post("/inspections", status_code=201)
def record_inspection(
    body: InspectionIn, conn: Conn, asker: Who, services: Wired, now: Now, once: OnlyOnce
) -> InspectionDone:
    """Record an inspection; the vehicle is valued again with what was seen."""
    visible_vehicle(conn, asker, body.vehicle_id)
    told = NewInspection(
        **body.model_dump(exclude={"flags", "photos"}), flags=frozenset(body.flags), photos=tuple(body.photos)
    )
    return once(InspectionDone, lambda: inspect(conn, told, asker.actor, services.settings, now))


@router.get("/vehicles/{vehicle_id}/manual-appraisals")
def list_manual_appraisals(vehicle_id: VehicleId, conn: Conn, asker: Who) -> Page[AppraisalOut]:
    """List the figures people gave for a vehicle and the open question, newest first."""
    visible_vehicle(conn, asker, vehicle_id)
    return Page(items=list(map(AppraisalOut.of, appraisal_store.list_appraisals(conn, vehicle_id))))


@router.post("/vehicles/{vehicle_id}/manual-appraisals", status_code=201)
def record_manual_appraisal(
    vehicle_id: VehicleId,
    body: AppraisalIn,
    conn: Conn,
    asker: Who,
    services: Wired,
    now: Now,
    once: OnlyOnce,
) -> AppraisalOut:
    """Record an appraiser's figure; LTV is measured against it while it is valid."""
    visible_vehicle(conn, asker, vehicle_id)
    figure = Figure(
        body.value.amount_minor, body.value.currency, body.appraiser, body.appraised_on, body.reason,
        body.valid_until,
    )  # fmt: skip

    def make() -> AppraisalOut:
        return AppraisalOut.of(appraise(conn, vehicle_id, figure, asker.actor, services.settings, now))

    return once(AppraisalOut, make)


def inspect(
    conn: Connection, told: NewInspection, actor: str, settings: Settings, now: datetime
) -> InspectionDone:
    """Record, then value again: what was seen counts at once."""
    done = actions.record(conn, told, actor, now=now)
    mark_vehicle(conn, PROCESS_MODELS, told.vehicle_id, now, settings.timezone, actor=actor)
    return InspectionDone(
        **InspectionOut.of(done.inspection).model_dump(),
        manual_appraisal=None if done.asked is None else AppraisalOut.of(done.asked),
        suggested_flags=list(done.suggested_flags),
    )


def appraise(
    conn: Connection, vehicle_id: str, figure: Figure, actor: str, settings: Settings, now: datetime
) -> Appraisal:
    """Record a figure, then mark the loans against it."""
    answered = appraisals.record(conn, vehicle_id, figure, actor, today=day_of(now, settings.timezone))
    mark_vehicle(conn, PROCESS_MODELS, vehicle_id, now, settings.timezone, actor=actor)
    return answered
