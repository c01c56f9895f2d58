"""Write the protocol of a decided lot: parameters, events as they were hashed, openings, result, signature.

Two views. The public one leaves out what nobody but its bidder may know even after the close: a maximum
above the final price. The full one, for auditors, opens everything. Both replay to the same result.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from auction.bids.store import opened_bids
from auction.log.store import events_after
from auction.lots.store import get_lot
from auction.protocol.signing import key_id, sign
from core.errors import Conflict

if TYPE_CHECKING:
    from uuid import UUID

    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    from auction.bids.store import OpenedBid
    from auction.domain import Lot, LotEvent
    from core.db.pool import Connection

FORMAT = "pledgewatch-lot-protocol/1"
PAGE = 1000


def export(conn: Connection, lot_id: UUID, *, key: Ed25519PrivateKey, full: bool = False) -> dict[str, Any]:
    """Return the signed protocol; the same lot and view give the same bytes at any later time.

    Raises:
        NotFound: no such lot (``lot_not_found``).
        Conflict: the hammer has not fallen, or the lot was withdrawn (``not_closed``).
    """
    lot = get_lot(conn, lot_id)
    if not lot.decided:
        raise Conflict(f"Expected a lot that is decided, was {lot.state}", code="not_closed")
    events = _all_events(conn, lot_id)
    bids = opened_bids(conn, lot_id)
    document = {
        "format": FORMAT,
        "view": "full" if full else "public",
        "key_id": key_id(key.public_key()),
        "lot": _parameters(lot, events[0]),
        "events": [_event(event) for event in events],
        "openings": [_opening(bid, lot, full=full) for bid in bids],
        "result": _result(lot, events, bids),
        "head": {"seq": events[-1].seq, "hash": events[-1].hash.hex()},
    }
    return document | {"signature": sign(key, document)}


def _all_events(conn: Connection, lot_id: UUID) -> list[LotEvent]:
    found: list[LotEvent] = []
    while page := events_after(conn, lot_id, found[-1].seq if found else 0, PAGE):
        found += page
    return found


def _parameters(lot: Lot, published: LotEvent) -> dict[str, Any]:
    """Return what a verifier needs to judge every bid anew, and what names the sale."""
    return {
        "lot_id": str(lot.lot_id),
        "number": lot.number,
        "case_id": str(lot.case_id),
        "round": lot.round_no,
        "attempt": lot.attempt,
        "type": lot.type,
        "pack": lot.pack,
        "pack_version": lot.pack_version,
        "title": lot.title,
        "currency": lot.currency,
        "start_minor": lot.start_minor,
        "reserve_minor": lot.reserve_minor,
        "deposit_minor": lot.deposit_minor,
        "tick_minor": lot.tick_minor,
        "steps": [[step.from_minor, step.step_minor] for step in lot.steps],
        "high_minor": lot.high_minor,
        "window_ms": lot.window_ms,
        "extension_ms": lot.extension_ms,
        "drain_ms": lot.drain_ms,
        "min_resume_ms": lot.min_resume_ms,
        "outage_grace_ms": lot.outage_grace_ms,
        "starts_at": _text(lot.starts_at),
        "planned_end_at": _text(lot.planned_end_at),
        # As published: resuming and making up for an outage move the one on the lot.
        "hard_end_at": published.payload["hard_end_at"],
    }


def _event(event: LotEvent) -> dict[str, Any]:
    return {"seq": event.seq, "body": event.body.decode(), "hash": event.hash.hex()}


def _opening(bid: OpenedBid, lot: Lot, *, full: bool) -> dict[str, Any]:
    shown = full or lot.price_minor is None or bid.max_minor <= lot.price_minor
    return {
        "seq": bid.seq,
        "mode": bid.mode,
        "max_minor": bid.max_minor if shown else None,
        "salt": bid.salt.hex() if shown else None,
    }


def _result(lot: Lot, events: list[LotEvent], bids: list[OpenedBid]) -> dict[str, Any]:
    sold = lot.state != "unsold"
    leading = [event.payload["code"] for event in events if event.kind == "lot.hammered"]
    return {
        "state": "hammered" if sold else "unsold",
        "price_minor": lot.price_minor if sold else None,
        "winner_code": leading[-1] if sold else None,
        "ends_at": _text(lot.ends_at),
        "extension_count": lot.extension_count,
        "bid_count": lot.bid_count,
        "hammered_at": _text(lot.hammered_at),
    }


def _text(moment: datetime | None) -> str | None:
    """Return a moment as RFC 3339 in UTC, with all the digits the database keeps."""
    return None if moment is None else moment.astimezone(UTC).isoformat(timespec="microseconds")
