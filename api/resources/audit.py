"""Who looked at whose location: what a pledgor can ask for, and what an auditor reads."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import BaseModel

from api.access import store
from api.deps import Conn, Who
from api.paging import Cursor, Limit, Page, cut, decode
from api.resources.vehicles import visible_vehicle

router = APIRouter(prefix="/audit", tags=["audit"])


class ViewOut(BaseModel):
    """One read of locations; ``org_ids`` instead of vehicles: a live view of whole branches."""

    id: int
    at: datetime
    actor: str
    purpose: str
    resource: str
    vehicle_ids: list[str]
    org_ids: list[str]
    range_from: datetime | None
    range_to: datetime | None
    ip: str


@router.get("")
def list_audit(
    conn: Conn,
    asker: Who,
    vehicle_id: Annotated[str | None, Query(max_length=64)] = None,
    actor: Annotated[str | None, Query(max_length=200)] = None,
    limit: Limit = 100,
    cursor: Cursor = None,
) -> Page[ViewOut]:
    """List reads of locations, newest first."""
    org_id = visible_vehicle(conn, asker, vehicle_id).org_id if vehicle_id is not None else None
    key = decode(cursor, int)
    rows = store.page(
        conn, visible_to=asker.org_ids, vehicle_id=vehicle_id, vehicle_org=org_id, actor=actor,
        before=int(key[0]) if key else None, limit=limit + 1,
    )  # fmt: skip
    shown, following = cut(rows, limit, lambda view: (view.view_id,))
    return Page(
        items=[
            ViewOut(
                id=view.view_id, at=view.at, actor=view.actor, purpose=view.purpose, resource=view.resource,
                vehicle_ids=view.vehicle_ids, org_ids=view.org_ids, range_from=view.range_from,
                range_to=view.range_to, ip=view.ip,
            )
            for view in shown
        ],
        next=following,
    )  # fmt: skip
