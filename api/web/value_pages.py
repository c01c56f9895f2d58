"""The forms of the tab "value": value now, record an inspection, record an appraiser's figure."""

from __future__ import annotations

from datetime import date, datetime
from typing import Annotated
from urllib.parse import quote
from zoneinfo import ZoneInfo

from fastapi import APIRouter, Form, Request
from fastapi.responses import RedirectResponse, Response

from api.deps import Conn, Now, Who, Wired
from api.resources.inspections import appraise, inspect
from api.resources.vehicles import VehicleId, visible_vehicle
from core.domain.money import parse_money
from core.errors import Rejected
from valuation.appraisals.domain import Figure
from valuation.inspections.domain import NewInspection
from valuation.service.mark import DEFAULT_CURRENCY, mark_vehicle
from valuation.vehicles.models import PROCESS_MODELS

router = APIRouter(include_in_schema=False)

Line = Annotated[str, Form(max_length=100, pattern=r"^[^\x00]*$")]
Text = Annotated[str, Form(max_length=2000, pattern=r"^[^\x00]*$")]


@router.post("/vehicles/{vehicle_id}/value")
def value_form(
    request: Request, conn: Conn, asker: Who, services: Wired, now: Now, vehicle_id: VehicleId
) -> Response:
    """Value the vehicle now."""
    visible_vehicle(conn, asker, vehicle_id)
    mark_vehicle(conn, PROCESS_MODELS, vehicle_id, now, services.settings.timezone, actor=asker.actor)
    return _shown(request, vehicle_id)


@router.post("/vehicles/{vehicle_id}/inspection")
def inspection_form(
    request: Request, conn: Conn, asker: Who, services: Wired, now: Now, vehicle_id: VehicleId,
    inspector: Line, inspected_at: Line = "", odometer_km: Line = "", condition: Line = "", note: Text = "",
    flags: Annotated[list[str] | None, Form(max_length=8)] = None,
) -> Response:  # fmt: skip
    """Record an inspection; without a time it is of now."""
    visible_vehicle(conn, asker, vehicle_id)
    told = NewInspection(
        vehicle_id=vehicle_id, inspector=inspector.strip(), note=note.strip(),
        inspected_at=_moment(inspected_at, services.settings.timezone) if inspected_at.strip() else now,
        odometer_km=_number(odometer_km, "odometer_km"), condition=_number(condition, "condition"),
        flags=frozenset(flags or ()),
    )  # fmt: skip
    inspect(conn, told, asker.actor, services.settings, now)
    return _shown(request, vehicle_id)


@router.post("/vehicles/{vehicle_id}/manual-appraisal")
def appraisal_form(
    request: Request, conn: Conn, asker: Who, services: Wired, now: Now, vehicle_id: VehicleId,
    amount: Line, appraiser: Line, appraised_on: Line, reason: Text, valid_until: Line = "",
) -> Response:  # fmt: skip
    """Record an appraiser's figure in the currency of the vehicle's loan."""
    vehicle = visible_vehicle(conn, asker, vehicle_id)
    figure = Figure(
        parse_money(amount, vehicle.currency or DEFAULT_CURRENCY).amount_minor,
        vehicle.currency or DEFAULT_CURRENCY, appraiser.strip(), _day(appraised_on), reason.strip(),
        _day(valid_until) if valid_until.strip() else None,
    )  # fmt: skip
    appraise(conn, vehicle_id, figure, asker.actor, services.settings, now)
    return _shown(request, vehicle_id)


def _shown(request: Request, vehicle_id: str) -> Response:
    if request.headers.get("hx-request"):
        return Response(status_code=204, headers={"HX-Refresh": "true"})
    return RedirectResponse(f"/vehicles/{quote(vehicle_id)}?tab=value", status_code=303)


def _number(text: str, name: str) -> float | None:
    plain = text.strip().replace(",", "")
    if not plain:
        return None
    try:
        return float(plain)
    except ValueError as exc:
        raise Rejected(f"Expected {name} as a number, was {text!r}", code=f"bad_{name}") from exc


def _moment(text: str, timezone: str) -> datetime:
    try:
        moment = datetime.fromisoformat(text.strip())
    except ValueError as exc:
        raise Rejected(f"Expected a date and time, was {text!r}", code="bad_inspected_at") from exc
    return moment if moment.tzinfo else moment.replace(tzinfo=ZoneInfo(timezone))


def _day(text: str) -> date:
    try:
        return date.fromisoformat(text.strip())
    except ValueError as exc:
        raise Rejected(f"Expected a day such as 2026-11-20, was {text!r}", code="bad_day") from exc
