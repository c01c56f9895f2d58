"""One's own bids, with the maxima that nobody else sees."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query
from pydantic import BaseModel

from api.board.models import Money
from api.deps import Conn, Who
from api.paging import Limit, Page
from auction.bidders import store as bidders
from auction.bids import store
from auction.lots import store as lots

router = APIRouter(prefix="/me", tags=["bids"])


class OwnBidOut(BaseModel):
    """A bid of one's own."""

    id: UUID
    lot_id: UUID
    seq: int
    code: str
    own_max: Money
    mode: str
    arrived_at: datetime
    leading: bool


@router.get("/bids")
def my_bids(
    conn: Conn, asker: Who, lot_id: Annotated[UUID | None, Query()] = None, limit: Limit = 100
) -> Page[OwnBidOut]:
    """List your own bids, newest first."""
    bidder = bidders.bidder_of_actor(conn, asker.actor)
    if bidder is None:
        return Page(items=[])
    rows = store.bids_of_bidder(conn, bidder.bidder_id, lot_id=lot_id, limit=limit)
    known = {row.lot_id: lots.get_lot(conn, row.lot_id) for row in rows}
    return Page(
        items=[
            OwnBidOut(
                id=row.bid_id, lot_id=row.lot_id, seq=row.seq, code=row.code, mode=row.mode,
                own_max=Money(amount_minor=row.max_minor, currency=known[row.lot_id].currency),
                arrived_at=row.arrived_at,
                leading=known[row.lot_id].leader_id == row.registration_id,
            )
            for row in rows
        ]
    )  # fmt: skip
