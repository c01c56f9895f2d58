"""An event of a lot as everybody reads it; the same in a stream, in a list and in the bid history."""

from __future__ import annotations

from typing import TYPE_CHECKING

from api.board.models import Money
from api.sale.models import BidLine, EventOut

if TYPE_CHECKING:
    from auction.domain import Lot, LotEvent

BID = "bid.accepted"


def event_out(event: LotEvent) -> EventOut:
    """Build from the chain's event. What is in its payload was made public for ever when it was written."""
    return EventOut(
        lot_id=event.lot_id, seq=event.seq, kind=event.kind, actor_code=event.actor_code,
        arrived_at=event.arrived_at, decided_at=event.decided_at, payload=event.payload,
        hash=event.hash.hex(),
    )  # fmt: skip


def bid_line(lot: Lot, event: LotEvent) -> BidLine:
    """Build a line of the bid history from an accepted bid's event."""
    facts = event.payload
    return BidLine(
        seq=event.seq, code=facts["code"],
        price=Money(amount_minor=facts["price_minor"], currency=lot.currency),
        arrived_at=event.arrived_at, auto=bool(facts.get("auto")), extended=bool(facts.get("extended")),
    )  # fmt: skip
