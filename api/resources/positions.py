"""Where vehicles are now. Each read needs a purpose and leaves a row in the view log."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query

from api.board import store as board
from api.board.models import PositionOut
from api.deps import Conn, Looking, Now, Who
from api.paging import Cursor, Limit, Page, cut, decode

router = APIRouter(prefix="/positions", tags=["locations"])


@router.get("")
def list_positions(
    conn: Conn,
    asker: Who,
    looking: Looking,
    now: Now,
    vehicle_id: Annotated[
        list[str] | None, Query(max_length=200, description="Only these; repeatable.")
    ] = None,
    limit: Limit = 500,
    cursor: Cursor = None,
) -> Page[PositionOut]:
    """List the newest fix of each vehicle in your branches."""
    after = decode(cursor, str)
    rows = board.positions(
        conn, asker.org_ids, vehicle_ids=vehicle_id, after=str(after[0]) if after else None, limit=limit + 1
    )
    shown, following = cut(rows, limit, lambda row: (row.vehicle_id or "",))
    looking.log("positions", [row.vehicle_id for row in shown if row.vehicle_id])
    return Page(items=[PositionOut.of(row, now) for row in shown], next=following)
