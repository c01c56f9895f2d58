"""Where a vehicle stood, from when to when: the stays the rules found, newest first."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Annotated, Any

from fastapi import APIRouter, Query
from pydantic import AwareDatetime, BaseModel

from api.board import store as board
from api.deps import Conn, Looking, Now, Who
from api.paging import Cursor, Limit, Page, cut, decode
from api.resources.tracks import time_range
from api.resources.vehicles import visible_vehicle
from core.errors import Rejected

router = APIRouter(prefix="/stays", tags=["locations"])


class StayOut(BaseModel):
    """A stay; ``ended_at`` is null while it lasts, and ``duration_s`` then runs to now."""

    vehicle_id: str
    started_at: datetime
    ended_at: datetime | None
    duration_s: int
    lat: float | None
    lon: float | None
    evidence: dict[str, Any]


@router.get("")
def list_stays(
    conn: Conn,
    asker: Who,
    looking: Looking,
    now: Now,
    vehicle_id: Annotated[str, Query(max_length=64)],
    start: Annotated[
        AwareDatetime | None, Query(alias="from", description="Default: 7 days before the end.")
    ] = None,
    end: Annotated[AwareDatetime | None, Query(alias="to", description="Default: now.")] = None,
    limit: Limit = 100,
    cursor: Cursor = None,
) -> Page[StayOut]:
    """List the stays of a vehicle that touch a range of at most 31 days."""
    visible_vehicle(conn, asker, vehicle_id)
    start, end = time_range(start, end, now, timedelta(days=7))
    looking.log("stays", [vehicle_id], start=start, end=end)
    key = decode(cursor, str)
    rows = board.stays(
        conn, vehicle_id, start=start, end=end, before=_moment(key[0]) if key else None, limit=limit + 1
    )
    shown, following = cut(rows, limit, lambda row: (row.started_at.isoformat(),))
    return Page(items=[_out(row, now) for row in shown], next=following)


def _moment(text: str | int) -> datetime:
    try:
        moment = datetime.fromisoformat(str(text))
    except ValueError as exc:
        raise Rejected("Expected the `next` value of an earlier page", code="bad_cursor") from exc
    if moment.tzinfo is None:
        raise Rejected("Expected the `next` value of an earlier page", code="bad_cursor")
    return moment


def _out(row: board.StayRow, now: datetime) -> StayOut:
    length = (row.ended_at or now) - row.started_at
    return StayOut(
        vehicle_id=row.vehicle_id, started_at=row.started_at, ended_at=row.ended_at,
        duration_s=max(0, int(length.total_seconds())), lat=row.lat, lon=row.lon, evidence=row.evidence,
    )  # fmt: skip
