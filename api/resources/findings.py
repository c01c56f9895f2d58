"""Findings: the facts that rules state, in event time; alerts are made of some of them."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Query
from pydantic import AwareDatetime, BaseModel

from api.board import store as board
from api.deps import Conn, Who
from api.paging import Cursor, Limit, Page, cut, decode
from api.resources.vehicles import visible_vehicle

router = APIRouter(prefix="/findings", tags=["alerts"])


class FindingOut(BaseModel):
    """The newest revision of a finding that stands, without its place: that is in `stays` and `tracks`."""

    id: UUID
    revision: int
    status: str
    vehicle_id: str | None
    device_id: str | None
    rule: str
    scope: str
    event: str
    event_time: datetime
    detected_time: datetime
    episode_time: datetime
    severity: str | None
    late_by_s: int
    evidence: dict[str, Any]
    recorded_at: datetime


@router.get("")
def list_findings(
    conn: Conn,
    asker: Who,
    vehicle_id: Annotated[str | None, Query(max_length=64)] = None,
    rule: Annotated[str | None, Query(max_length=64)] = None,
    start: Annotated[AwareDatetime | None, Query(alias="from")] = None,
    end: Annotated[AwareDatetime | None, Query(alias="to")] = None,
    limit: Limit = 100,
    cursor: Cursor = None,
) -> Page[FindingOut]:
    """List findings that stand, newest record first."""
    if vehicle_id is not None:
        visible_vehicle(conn, asker, vehicle_id)
    key = decode(cursor, int)
    rows = board.findings(
        conn, asker.org_ids, vehicle_id=vehicle_id, rule=rule, start=start, end=end,
        before=int(key[0]) if key else None, limit=limit + 1,
    )  # fmt: skip
    shown, following = cut(rows, limit, lambda row: (row.seq,))
    return Page(items=list(map(_out, shown)), next=following)


def _out(row: board.FindingRow) -> FindingOut:
    return FindingOut(
        id=row.finding_id, revision=row.revision, status=row.status, vehicle_id=row.vehicle_id,
        device_id=row.device_id, rule=row.rule, scope=row.scope, event=row.event, event_time=row.event_time,
        detected_time=row.detected_time, episode_time=row.episode_time, severity=row.severity,
        late_by_s=row.late_by_s, evidence=row.evidence, recorded_at=row.recorded_at,
    )  # fmt: skip
