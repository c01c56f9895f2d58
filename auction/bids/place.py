"""Place a bid. The rule is in auction/engine; the database applies it in one round trip."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from auction.bids import store
from auction.domain import BidAccepted, BidRefused, Rejection
from core.errors import Rejected, Unavailable

if TYPE_CHECKING:
    from datetime import datetime
    from uuid import UUID

    from core.db.pool import Connection

MOST_MINOR = 10**15
"""No vehicle costs more; far below where a 64-bit amount would overflow."""

MESSAGES = {
    Rejection.LOT_NOT_FOUND: "Expected a lot, there is none with this id",
    Rejection.NOT_STARTED: "Expected a lot that is open, bidding has not started",
    Rejection.LOT_NOT_OPEN: "Expected a lot that is open, bidding is not open",
    Rejection.LOT_CLOSING: "The bid came after the end; it is being decided whether the lot was extended",
    Rejection.LOT_CLOSED: "Expected a bid before the end, bidding is over",
    Rejection.NOT_ELIGIBLE: "Expected an eligible registration for this lot, there is none",
    Rejection.PRICE_CHANGED: "Expected the price to be as you saw it, it has changed",
    Rejection.OFF_GRID: "Expected a multiple of the smallest unit of this sale",
    Rejection.BID_TOO_LOW: "Expected at least the next valid amount",
    Rejection.SELF_RAISE_TOO_LOW: "You lead already; a new maximum must be above your own",
    Rejection.CONFIRM_HIGH_REQUIRED: "The amount is unusually high; confirm it with confirm_high",
}


def place_bid(
    conn: Connection,
    *,
    lot_id: UUID,
    bidder_id: int,
    max_minor: int,
    mode: Literal["exact", "proxy"] = "proxy",
    arrived_at: datetime | None = None,
    confirm_high: bool = False,
    expected_price_minor: int | None = None,
) -> BidAccepted | BidRefused:
    """Judge a bid in the caller's transaction; the caller commits, refused or not.

    ``arrived_at`` is database time of the moment the request came in (``auction.bids.ingress``); None: now.
    A refusal is returned, so that the row of the idempotency key that remembers it commits too.

    Raises:
        Unavailable: the call waited longer than the lot's drain before it came here (``busy``): nothing was
            decided and nothing may be remembered; the same key may be tried again.
        Rejected: the amount is not a whole number between 1 and 10**15 (``bad_amount``).
    """
    for amount_minor in (max_minor, 1 if expected_price_minor is None else expected_price_minor):
        if type(amount_minor) is not int or not 0 < amount_minor <= MOST_MINOR:
            raise Rejected(
                f"Expected an amount in whole minor units from 1 to {MOST_MINOR}", code="bad_amount"
            )
    answer = store.call_place_bid(
        conn, lot_id, bidder_id, max_minor, mode, arrived_at, confirm_high, expected_price_minor
    )
    if isinstance(answer, BidAccepted):
        return answer
    rejection, facts = answer
    if rejection is Rejection.BUSY:
        raise Unavailable(
            "The bid waited too long before it could be judged; nothing was decided, send it again",
            code="busy",
            **facts,
        )
    return BidRefused(rejection, MESSAGES[rejection], facts)
