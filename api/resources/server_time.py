"""The time that auctions run on, for a client that counts down."""

from __future__ import annotations

from datetime import datetime

from fastapi import APIRouter
from pydantic import BaseModel

from api.deps import Wired
from core.clock import to_ms

router = APIRouter(tags=["lots"])


class TimeOut(BaseModel):
    """The database's time; half of the round trip is how wrong it may be when it arrives."""

    server_time: datetime
    server_time_ms: int


@router.get("/time")
async def server_time(services: Wired) -> TimeOut:
    """Tell the time of the database, without asking it: the offset is measured every second."""
    now = services.database_time()
    return TimeOut(server_time=now, server_time_ms=to_ms(now))
