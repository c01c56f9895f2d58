"""What the engine knows of a sale, what it may be told, what it answers."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from datetime import datetime

    from auction.domain import Rejection, Step


@dataclass(frozen=True, slots=True)
class Sale:
    """A lot, as far as the rules care. Bidders are named by their codes."""

    state: str
    start_minor: int
    tick_minor: int
    steps: tuple[Step, ...]
    high_minor: int
    window_ms: int
    extension_ms: int
    drain_ms: int
    starts_at: datetime
    ends_at: datetime
    reserve_minor: int | None = field(default=None, repr=False)
    hard_end_at: datetime | None = None
    min_resume_ms: int = 0
    remaining_ms: int | None = None
    price_minor: int | None = None
    leader: str | None = None
    leader_max_minor: int | None = field(default=None, repr=False)
    second_max_minor: int | None = field(default=None, repr=False)
    reserve_met: bool = False
    extension_count: int = 0
    bid_count: int = 0
    epoch: int = 0


@dataclass(frozen=True, slots=True)
class Bid:
    """``eligible`` and ``arrived_at`` are facts that the caller found; nothing is looked up here."""

    bidder: str
    max_minor: int
    mode: Literal["exact", "proxy"]
    arrived_at: datetime
    eligible: bool = True
    confirm_high: bool = False
    expected_price_minor: int | None = None


@dataclass(frozen=True, slots=True)
class Open:
    """The start timer fired and the loan is still in default."""


@dataclass(frozen=True, slots=True)
class End:
    """The end timer fired, and no bid that arrived in time is still on its way."""


@dataclass(frozen=True, slots=True)
class Suspend:
    """Two people stopped the sale for a while; or the sweeper did, as the loan is no longer in default."""

    reason_class: str = "other"


@dataclass(frozen=True, slots=True)
class Resume:
    """Two people let it go on."""


@dataclass(frozen=True, slots=True)
class Withdraw:
    """The sale ends without a sale: withdrawn by two people, or redeemed."""

    reason_class: str = "other"


@dataclass(frozen=True, slots=True)
class MakeUp:
    """Neither sweeper nor API was alive for so long: bidders get the time back, and a grace."""

    outage_ms: int
    grace_ms: int


Command = Bid | Open | End | Suspend | Resume | Withdraw | MakeUp


@dataclass(frozen=True, slots=True)
class Event:
    """What everybody may see; a datetime in the payload becomes RFC 3339 in the log."""

    kind: str
    payload: dict[str, Any] = field(hash=False)


@dataclass(frozen=True, slots=True)
class Done:
    """The command took effect."""


@dataclass(frozen=True, slots=True)
class Placed:
    """The bid counts."""

    leading: bool
    price_minor: int
    min_next_minor: int
    ends_at: datetime
    extended: bool


@dataclass(frozen=True, slots=True)
class Refused:
    """The bid does not count; the sale is as it was."""

    rejection: Rejection


@dataclass(frozen=True, slots=True)
class NotYet:
    """The end moved on since the timer was set: it is armed anew."""


@dataclass(frozen=True, slots=True)
class BadEdge:
    """The state table has no such edge from here."""


Result = Done | Placed | Refused | NotYet | BadEdge
