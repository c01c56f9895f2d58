"""Vehicles: what is pledged, with the loan that matters most and the alerts that are open."""

from __future__ import annotations

from datetime import date
from typing import Annotated

from fastapi import APIRouter, Path, Query, Response
from pydantic import BaseModel, ConfigDict, Field

from api.auth import Asker
from api.board import store as board
from api.board.models import VehicleOut
from api.deps import Conn, IfMatch, Who, check_version, etag
from api.paging import Cursor, Limit, Page, cut, decode
from collateral.domain import Custody, Vehicle
from collateral.vehicles import store as vehicles
from collateral.vin import parse_vin
from core.db.pool import Connection
from core.errors import Conflict, NotFound

router = APIRouter(prefix="/vehicles", tags=["vehicles"])

VehicleId = Annotated[str, Path(min_length=1, max_length=64, pattern=r"^[^\x00-\x1f/]+$")]
Text = Annotated[str, Field(max_length=64, pattern=r"^[^\x00-\x1f]*$")]


class VehicleIn(BaseModel):
    """A staff edit; a field left out (or null) keeps what is stored."""

    model_config = ConfigDict(extra="forbid")

    vin: Annotated[str, Field(min_length=17, max_length=17)] | None = None
    plate: Text | None = None
    engine_number: Text | None = None
    make: Text | None = None
    model: Text | None = None
    model_year: Annotated[int, Field(ge=1950, le=2100)] | None = None
    colour: Text | None = None
    first_registration: date | None = None
    use_character: Text | None = None
    emission_stage: Text | None = None
    custody: Custody | None = None
    org_id: Text | None = None


@router.get("")
def list_vehicles(
    conn: Conn,
    asker: Who,
    q: Annotated[
        str | None, Query(max_length=64, description="Part of plate, VIN, id, make or model.")
    ] = None,
    overdue: Annotated[bool, Query(description="Only with days past due.")] = False,
    alerting: Annotated[bool, Query(description="Only with open alerts.")] = False,
    limit: Limit = 100,
    cursor: Cursor = None,
) -> Page[VehicleOut]:
    """List the vehicles of your branches by id."""
    after = decode(cursor, str)
    rows = board.vehicles(
        conn, asker.org_ids, text=q, overdue=overdue, alerting=alerting,
        after=str(after[0]) if after else None, limit=limit + 1,
    )  # fmt: skip
    shown, following = cut(rows, limit, lambda row: (row.vehicle_id,))
    return Page(items=list(map(VehicleOut.of, shown)), next=following)


@router.get("/{vehicle_id}")
def get_vehicle(vehicle_id: VehicleId, conn: Conn, asker: Who, response: Response) -> VehicleOut:
    """Return one vehicle."""
    vehicle = visible_vehicle(conn, asker, vehicle_id)
    response.headers["ETag"] = etag(vehicle.version)
    return VehicleOut.of(vehicle)


@router.put("/{vehicle_id}")
def put_vehicle(
    vehicle_id: VehicleId,
    body: VehicleIn,
    conn: Conn,
    asker: Who,
    response: Response,
    if_match: IfMatch = None,
) -> VehicleOut:
    """Register a vehicle, or edit one (then If-Match is required)."""
    stored_org = board.org_of(conn, vehicle_id)
    if stored_org is not None:
        check_version(if_match, visible_vehicle(conn, asker, vehicle_id).version)
    org_id = body.org_id or (asker.org_id if stored_org is None else None)
    if org_id is not None:
        asker.require_org(org_id, f"branch {org_id}")
    vin = None if body.vin is None else parse_vin(body.vin)
    if vin is not None and vehicles.vehicles_by_vin(conn, [vin]).get(vin, vehicle_id) != vehicle_id:
        raise Conflict(f"Expected a VIN of no other vehicle, {vin} is taken", code="vin_taken")
    fields = body.model_dump(exclude={"vin", "org_id", "custody"})
    custody = None if body.custody is None else str(body.custody)
    vehicles.upsert_vehicles(
        conn, [Vehicle(vehicle_id=vehicle_id, vin=vin, custody=custody, org_id=org_id, **fields)]
    )
    vehicle = visible_vehicle(conn, asker, vehicle_id)
    response.headers["ETag"] = etag(vehicle.version)
    return VehicleOut.of(vehicle)


def visible_vehicle(conn: Connection, asker: Asker, vehicle_id: str) -> board.VehicleRow:
    """Return a vehicle of the asker's branches.

    Raises:
        NotFound: there is none, or it belongs to another branch (``vehicle_not_found``).
    """
    rows = board.vehicles(conn, asker.org_ids, vehicle_ids=[vehicle_id], limit=1)
    if not rows:
        raise NotFound(
            f"Expected a vehicle of your branches, there is no {vehicle_id}", code="vehicle_not_found"
        )
    return rows[0]
