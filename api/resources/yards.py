"""Yards: where recovered vehicles stand."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path
from pydantic import BaseModel, Field

from alerts.recovery.domain import Yard
from alerts.recovery.store import yards as store
from api.deps import Conn, Who
from api.paging import Page
from api.resources.recovery_shapes import Body, MaybeName, Name

router = APIRouter(prefix="/yards", tags=["recovery"])

Branch = Annotated[str, Field(min_length=1, max_length=64, pattern=r"^[^\x00]*$")]


class YardIn(Body):
    """A yard; WGS-84."""

    name: Name
    lat: Annotated[float, Field(ge=-90, le=90, allow_inf_nan=False)]
    lon: Annotated[float, Field(ge=-180, le=180, allow_inf_nan=False)]
    address: MaybeName = ""
    org_id: Branch | None = None


class YardOut(BaseModel):
    """A yard; WGS-84."""

    id: str
    name: str
    org_id: str
    lat: float
    lon: float
    address: str

    @classmethod
    def of(cls, yard: Yard) -> YardOut:
        """Build from the domain's yard."""
        return cls(
            id=yard.yard_id, name=yard.name, org_id=yard.org_id, lat=yard.lat, lon=yard.lon,
            address=yard.address,
        )  # fmt: skip


@router.get("")
def list_yards(conn: Conn, asker: Who) -> Page[YardOut]:
    """List every yard of the lender: a branch may bring a vehicle to the yard of another."""
    return Page(items=list(map(YardOut.of, store.list_yards(conn))), next=None)


@router.put("/{yard_id}")
def put_yard(
    yard_id: Annotated[str, Path(pattern=r"^[A-Za-z0-9_-]{1,32}$")], body: YardIn, conn: Conn, asker: Who
) -> YardOut:
    """Write a yard of your branches, or change it."""
    known = store.get_yard(conn, yard_id)
    if known is not None:
        asker.require_org(known.org_id, f"a yard with id {yard_id}")
    org_id = body.org_id or (known.org_id if known else asker.org_id)
    asker.require_org(org_id, f"branch {org_id}")
    yard = Yard(yard_id, body.name, org_id, body.lat, body.lon, body.address)
    store.save_yard(conn, yard)
    return YardOut.of(yard)
