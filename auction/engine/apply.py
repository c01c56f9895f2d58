"""``apply``: the whole rule of a sale, pure."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from auction.engine.bidding import place
from auction.engine.state import (
    BadEdge,
    Bid,
    Command,
    Done,
    End,
    Event,
    MakeUp,
    NotYet,
    Open,
    Result,
    Resume,
    Sale,
    Suspend,
    Withdraw,
)

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

Outcome = tuple[Sale, "Sequence[Event]", Result]

LATE_OPENING = timedelta(seconds=30)
"""A lot that opens later than this (nobody was there to open it) still gets all the time it promised."""
ONE_MS = timedelta(milliseconds=1)


def apply(sale: Sale, command: Command, now: datetime) -> Outcome:
    """Return the sale after the command, the public events of it, and the answer."""
    match command:
        case Bid():
            return place(sale, command, now)
        case Open():
            return _open(sale, now)
        case End():
            return _end(sale, now)
        case Suspend():
            return _suspend(sale, command, now)
        case Resume():
            return _resume(sale, now)
        case Withdraw():
            return _withdraw(sale, command)
        case MakeUp():
            return _make_up(sale, command)


def _move(sale: Sale, state: str, **changes: Any) -> Sale:
    return replace(sale, state=state, epoch=sale.epoch + 1, **changes)


def _open(sale: Sale, now: datetime) -> Outcome:
    if sale.state != "published":
        return sale, (), BadEdge()
    if now < sale.starts_at:
        return sale, (), NotYet()
    late = now - sale.starts_at
    ends_at = sale.ends_at + late if late > LATE_OPENING else sale.ends_at
    after = _move(sale, "open", ends_at=ends_at)
    return after, (Event("lot.opened", {"ends_at": ends_at, "min_next_minor": sale.start_minor}),), Done()


def _end(sale: Sale, now: datetime) -> Outcome:
    if sale.state != "open":
        return sale, (), BadEdge()
    if now < sale.ends_at + timedelta(milliseconds=sale.drain_ms):
        return sale, (), NotYet()
    if sale.leader is None:
        return _move(sale, "unsold"), (Event("lot.unsold", {"reason": "no_bids"}),), Done()
    if not sale.reserve_met:
        return _move(sale, "unsold"), (Event("lot.unsold", {"reason": "reserve_not_met"}),), Done()
    fallen = {"price_minor": sale.price_minor, "code": sale.leader}
    return _move(sale, "hammered"), (Event("lot.hammered", fallen),), Done()


def _suspend(sale: Sale, command: Suspend, now: datetime) -> Outcome:
    if sale.state not in {"published", "open"}:
        return sale, (), BadEdge()
    # NULL says that it never opened: then there is no time to give back, and it resumes as published.
    remaining_ms = None if sale.state == "published" else max(0, (sale.ends_at - now) // ONE_MS)
    after = _move(sale, "suspended", remaining_ms=remaining_ms)
    return after, (Event("lot.suspended", {"reason_class": command.reason_class}),), Done()


def _resume(sale: Sale, now: datetime) -> Outcome:
    """Go on with the time that was left, at least the least of the pack; the end never comes nearer."""
    if sale.state != "suspended":
        return sale, (), BadEdge()
    if sale.remaining_ms is None:
        after = _move(sale, "published")
    else:
        left = timedelta(milliseconds=max(sale.remaining_ms, sale.min_resume_ms))
        hard_end_at = sale.hard_end_at
        ends_at = max(sale.ends_at, now + left)
        if hard_end_at is not None:
            hard_end_at = max(hard_end_at, ends_at)
        after = _move(sale, "open", ends_at=ends_at, hard_end_at=hard_end_at, remaining_ms=None)
    return after, (Event("lot.resumed", {"state": after.state, "ends_at": after.ends_at}),), Done()


def _withdraw(sale: Sale, command: Withdraw) -> Outcome:
    if sale.state not in {"draft", "review", "published", "open", "suspended"}:
        return sale, (), BadEdge()
    after = _move(sale, "withdrawn", remaining_ms=None)
    if sale.state in {"draft", "review"}:
        return after, (), Done()  # nobody outside ever saw it
    return after, (Event("lot.withdrawn", {"reason_class": command.reason_class}),), Done()


def _make_up(sale: Sale, command: MakeUp) -> Outcome:
    if sale.state != "open":
        return sale, (), BadEdge()
    longer = timedelta(milliseconds=command.outage_ms + command.grace_ms)
    hard_end_at = None if sale.hard_end_at is None else sale.hard_end_at + longer
    after = replace(sale, ends_at=sale.ends_at + longer, hard_end_at=hard_end_at)
    payload = {"ends_at": after.ends_at, "outage_ms": command.outage_ms}
    return after, (Event("lot.outage_extension", payload),), Done()
