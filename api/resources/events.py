"""Domain events: what happened in one room that others react to, in the order in which it was committed."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from fastapi import APIRouter
from pydantic import BaseModel

from api.deps import Conn, Who
from api.paging import Cursor, Limit, Page, cut, decode
from core.errors import Rejected
from core.events.store import LogPosition, read_events

router = APIRouter(prefix="/events", tags=["events"])


class EventOut(BaseModel):
    """One event; ``subject`` is the id of what it is about."""

    seq: int
    kind: str
    subject: str
    payload: dict[str, Any]
    at: datetime


@router.get("")
def list_events(conn: Conn, asker: Who, limit: Limit = 100, cursor: Cursor = None) -> Page[EventOut]:
    """List domain events, oldest first; keep `next` and come back for more."""
    key = decode(cursor, str, int)
    if key is not None and not (str(key[0]).isdigit() and len(str(key[0])) < 20):
        raise Rejected("Expected the `next` value of an earlier page", code="bad_cursor")
    after = LogPosition(str(key[0]), int(key[1])) if key else LogPosition("0", 0)
    rows = read_events(conn, after, limit + 1)
    shown, following = cut(rows, limit, lambda event: (event.txid, event.seq))
    return Page(
        items=[
            EventOut(seq=row.seq, kind=row.kind, subject=row.subject, payload=row.payload, at=row.at)
            for row in shown
        ],
        next=following,
    )
