"""The English sale with maxima (auction.md B1): who leads, at what price, until when."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

from auction.domain import DECIDED_STATES, Rejection, step_at
from auction.engine.state import Bid, Event, Placed, Refused, Sale

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime


def min_next(sale: Sale) -> int:
    """Return the least amount that the next bid may say."""
    if sale.price_minor is None:
        return sale.start_minor
    return sale.price_minor + step_at(sale.steps, sale.price_minor)


def place(sale: Sale, bid: Bid, now: datetime) -> tuple[Sale, Sequence[Event], Placed | Refused]:
    """Judge a bid. ``now`` is when it is judged; it was made at ``bid.arrived_at``."""
    arrived = min(bid.arrived_at, now)
    rejection = _untimely(sale, arrived) or _unfit(sale, bid)
    if rejection is not None:
        return sale, (), Refused(rejection)
    raising = bid.bidder == sale.leader
    after = _raise_own(sale, bid) if raising else _compete(sale, bid)
    after = replace(_reach_reserve(after), bid_count=sale.bid_count + 1)
    if not raising:
        after = _extend(after, arrived)
    moved = (after.price_minor, after.leader) != (sale.price_minor, sale.leader)
    extended = after.ends_at > sale.ends_at
    assert after.price_minor is not None  # noqa: S101 - there is a leader now
    placed = Placed(
        leading=after.leader == bid.bidder,
        price_minor=after.price_minor,
        min_next_minor=min_next(after),
        ends_at=after.ends_at,
        extended=extended,
    )
    return after, _events(after, bid, moved=moved, extended=extended), placed


def _untimely(sale: Sale, arrived: datetime) -> Rejection | None:
    if sale.state in DECIDED_STATES:
        # In time, yet judged after the hammer: that is our fault, so it is never called too late.
        return Rejection.BUSY if arrived < sale.ends_at else Rejection.LOT_CLOSED
    if sale.state == "withdrawn":
        return Rejection.LOT_CLOSED
    if sale.state == "published":
        return Rejection.NOT_STARTED
    if sale.state != "open":
        return Rejection.LOT_NOT_OPEN
    if arrived < sale.starts_at:
        return Rejection.NOT_STARTED
    if arrived >= sale.ends_at + timedelta(milliseconds=sale.drain_ms):
        return Rejection.LOT_CLOSED
    if arrived >= sale.ends_at:
        return Rejection.LOT_CLOSING
    return None


def _unfit(sale: Sale, bid: Bid) -> Rejection | None:
    if not bid.eligible:
        return Rejection.NOT_ELIGIBLE
    if bid.expected_price_minor is not None and bid.expected_price_minor != (
        sale.start_minor if sale.price_minor is None else sale.price_minor
    ):
        return Rejection.PRICE_CHANGED
    if bid.max_minor % sale.tick_minor:
        return Rejection.OFF_GRID
    if bid.max_minor < min_next(sale):
        return Rejection.BID_TOO_LOW
    if bid.bidder == sale.leader and bid.max_minor <= (sale.leader_max_minor or 0):
        return Rejection.SELF_RAISE_TOO_LOW
    if bid.max_minor > sale.high_minor and not bid.confirm_high:
        return Rejection.CONFIRM_HIGH_REQUIRED
    return None


def _raise_own(sale: Sale, bid: Bid) -> Sale:
    """A leader never bids against himself: the price stays, and so does the end."""
    return replace(sale, leader_max_minor=bid.max_minor)


def _compete(sale: Sale, bid: Bid) -> Sale:
    offer_minor, best_minor = bid.max_minor, sale.leader_max_minor
    if best_minor is None:
        price_minor = offer_minor if bid.mode == "exact" else sale.start_minor
        return replace(sale, leader=bid.bidder, leader_max_minor=offer_minor, price_minor=price_minor)
    if offer_minor > best_minor:
        beaten_minor = min(offer_minor, best_minor + step_at(sale.steps, best_minor))
        return replace(
            sale,
            leader=bid.bidder,
            leader_max_minor=offer_minor,
            second_max_minor=best_minor,
            price_minor=offer_minor if bid.mode == "exact" else beaten_minor,
        )
    # At equality the earlier maximum keeps the lead, and pays all of it: min() below is then best_minor.
    return replace(
        sale,
        second_max_minor=max(offer_minor, sale.second_max_minor or 0),
        price_minor=min(best_minor, offer_minor + step_at(sale.steps, offer_minor)),
    )


def _reach_reserve(sale: Sale) -> Sale:
    if sale.price_minor is None or sale.leader_max_minor is None:
        return sale
    reserve_minor = sale.reserve_minor
    if reserve_minor is None or sale.price_minor >= reserve_minor:
        return replace(sale, reserve_met=True)
    if sale.leader_max_minor >= reserve_minor:
        return replace(sale, reserve_met=True, price_minor=reserve_minor)
    return sale


def _extend(sale: Sale, arrived: datetime) -> Sale:
    """An accepted bid of another bidder within the window leaves the others time to answer.

    Every such bid changes price or leader. Refused bids never come here, so they cannot hold a sale open.
    """
    if sale.ends_at - arrived > timedelta(milliseconds=sale.window_ms):
        return sale
    ends_at = arrived + timedelta(milliseconds=sale.extension_ms)
    if sale.hard_end_at is not None:
        ends_at = min(ends_at, sale.hard_end_at)
    if ends_at <= sale.ends_at:
        return sale
    return replace(sale, ends_at=ends_at, extension_count=sale.extension_count + 1)


def _events(sale: Sale, bid: Bid, *, moved: bool, extended: bool) -> Sequence[Event]:
    if not moved:
        return (Event("proxy.raised", {"code": bid.bidder}),)
    accepted = Event(
        "bid.accepted",
        {
            "code": bid.bidder,
            "leader_code": sale.leader,
            "price_minor": sale.price_minor,
            "min_next_minor": min_next(sale),
            "ends_at": sale.ends_at,
            # The price was made by the leader's maximum, not by the one who bid.
            "auto": sale.leader != bid.bidder,
            "extended": extended,
            "reserve_met": sale.reserve_met,
        },
    )
    if not extended:
        return (accepted,)
    longer = {"ends_at": sale.ends_at, "extension_count": sale.extension_count}
    return (accepted, Event("lot.extended", longer))
