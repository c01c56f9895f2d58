"""SQL of bids."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from psycopg.rows import class_row

from auction.domain import BidAccepted, Rejection

if TYPE_CHECKING:
    from datetime import datetime
    from uuid import UUID

    from core.db.pool import Connection


@dataclass(frozen=True, slots=True)
class OwnBid:
    """A bid as its bidder sees it."""

    bid_id: UUID
    lot_id: UUID
    seq: int
    registration_id: UUID
    code: str
    max_minor: int = field(repr=False)
    mode: str
    arrived_at: datetime


@dataclass(frozen=True, slots=True)
class OpenedBid:
    """A bid with what its commitment hid; shown only after the lot is decided."""

    seq: int
    code: str
    max_minor: int
    mode: str
    salt: bytes
    commitment: bytes
    arrived_at: datetime


def call_place_bid(
    conn: Connection,
    lot_id: UUID,
    bidder_id: int,
    max_minor: int,
    mode: str,
    arrived_at: datetime | None,
    confirm_high: bool,
    expected_price_minor: int | None,
) -> BidAccepted | tuple[Rejection, dict[str, Any]]:
    """Let the database judge a bid: one round trip."""
    row = conn.execute(
        "SELECT rejection, bid_id, bid_seq, is_leading, price_minor, min_next_minor, ends_at, extended,"
        " currency, arrived_at, decided_at, lot_seq FROM auction_place_bid(%s, %s, %s, %s, %s, %s, %s)",
        (lot_id, bidder_id, max_minor, mode, arrived_at, confirm_high, expected_price_minor),
    ).fetchone()
    assert row is not None  # noqa: S101 - the function always answers with one row
    (
        rejection, bid_id, seq, leading, price_minor, min_next_minor, ends_at, extended, currency,
        arrived, decided, lot_seq,
    ) = row  # fmt: skip
    if rejection is None:
        return BidAccepted(
            bid_id, seq, leading, price_minor, min_next_minor, ends_at, extended, max_minor, currency,
            arrived, decided, lot_seq,
        )  # fmt: skip
    return Rejection(rejection), {
        "price_minor": price_minor,
        "min_next_minor": min_next_minor,
        "currency": currency,
        "ends_at": ends_at.isoformat() if ends_at else None,
        "arrived_at": arrived.isoformat(),
        "decided_at": decided.isoformat(),
        "lot_seq": lot_seq,
    }


def bids_of_bidder(
    conn: Connection, bidder_id: int, *, lot_id: UUID | None = None, limit: int = 200
) -> list[OwnBid]:
    """Return a bidder's own bids with their maxima, newest first."""
    with conn.cursor(row_factory=class_row(OwnBid)) as cursor:
        return cursor.execute(
            "SELECT b.bid_id, b.lot_id, b.seq, b.registration_id, r.code, b.max_minor, b.mode, b.arrived_at"
            " FROM bid b JOIN registration r USING (registration_id) WHERE r.bidder_id = %(bidder)s"
            " AND (%(lot)s::uuid IS NULL OR b.lot_id = %(lot)s)"
            " ORDER BY b.arrived_at DESC, b.seq DESC LIMIT %(limit)s",
            {"bidder": bidder_id, "lot": lot_id, "limit": limit},
        ).fetchall()


def opened_bids(conn: Connection, lot_id: UUID) -> list[OpenedBid]:
    """Return the bids of a decided lot with salts and maxima, in order; nothing while it is not decided."""
    with conn.cursor(row_factory=class_row(OpenedBid)) as cursor:
        return cursor.execute(
            "SELECT b.seq, r.code, b.max_minor, b.mode, b.salt, b.commitment, b.arrived_at FROM bid b"
            " JOIN registration r USING (registration_id) JOIN lot l ON l.lot_id = b.lot_id"
            " WHERE b.lot_id = %s AND l.state IN ('hammered', 'unsold', 'paid', 'defaulted', 'transferred',"
            " 'handed_over', 'closed') ORDER BY b.seq",
            (lot_id,),
        ).fetchall()
