"""Between the row of a lot and the engine's view of it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from auction.engine.state import Sale

if TYPE_CHECKING:
    from collections.abc import Mapping

    from auction.domain import Lot


def sale_of(lot: Lot, leader_code: str | None = None) -> Sale:
    """Return the sale of a lot; without the leader's code he is named by his registration's id."""
    return Sale(
        state=lot.state,
        start_minor=lot.start_minor,
        tick_minor=lot.tick_minor,
        steps=lot.steps,
        high_minor=lot.high_minor,
        window_ms=lot.window_ms,
        extension_ms=lot.extension_ms,
        drain_ms=lot.drain_ms,
        starts_at=lot.starts_at,
        ends_at=lot.ends_at,
        reserve_minor=lot.reserve_minor,
        hard_end_at=lot.hard_end_at,
        min_resume_ms=lot.min_resume_ms,
        remaining_ms=lot.remaining_ms,
        price_minor=lot.price_minor,
        leader=leader_code or (None if lot.leader_id is None else str(lot.leader_id)),
        leader_max_minor=lot.leader_max_minor,
        second_max_minor=lot.second_max_minor,
        reserve_met=lot.reserve_met,
        extension_count=lot.extension_count,
        bid_count=lot.bid_count,
        epoch=lot.epoch,
    )


def columns_of(sale: Sale) -> dict[str, Any]:
    """Return the columns that time and staff change; those of bidding are written by the database itself."""
    timer_at, timer_kind = timer_of(sale)
    return {
        "state": sale.state,
        "epoch": sale.epoch,
        "ends_at": sale.ends_at,
        "hard_end_at": sale.hard_end_at,
        "remaining_ms": sale.remaining_ms,
        "next_timer_at": timer_at,
        "timer_kind": timer_kind,
    }


def timer_of(sale: Sale) -> tuple[datetime | None, str | None]:
    """Return what the sweeper has to do next with a sale, and when."""
    if sale.state == "published":
        return sale.starts_at, "start"
    if sale.state == "open":
        return sale.ends_at + timedelta(milliseconds=sale.drain_ms), "end"
    return None, None


def rfc3339(moment: datetime) -> str:
    """Return a moment as the log writes it: UTC, microseconds, Z."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def public(payload: Mapping[str, Any]) -> dict[str, Any]:
    """Return a payload as the log keeps it."""
    return {name: rfc3339(value) if isinstance(value, datetime) else value for name, value in payload.items()}
