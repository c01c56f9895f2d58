"""What a bidder is, sees and wants; money in minor units."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Temper(StrEnum):
    """How somebody bids."""

    PROXY = "proxy"  # names the own limit once and lets the house bid
    LADDER = "ladder"  # answers each higher price with the next one
    LATE = "late"  # waits for the last seconds


@dataclass(frozen=True, slots=True)
class Profile:
    """One bidder; ``worth_minor`` is known to nobody else.

    ``enters_permille``: which part of the bidding has passed before the first wish.
    """

    name: str
    temper: Temper
    worth_minor: int
    enters_permille: int
    think_ms: int
    late_ms: int
    seed: int


@dataclass(frozen=True, slots=True)
class LotView:
    """The public page of a lot, as far as a bidder reads it."""

    state: str
    start_minor: int
    price_minor: int | None
    min_next_minor: int | None
    tick_minor: int
    currency: str
    leader_code: str | None
    seq: int
    left_ms: int
    length_ms: int
    terms_version: str = ""

    @property
    def passed_permille(self) -> int:
        """Return which part of the bidding has passed."""
        return 1000 - min(1000, max(0, self.left_ms) * 1000 // max(1, self.length_ms))

    @property
    def decided(self) -> bool:
        """Whether nobody can bid any more."""
        return self.state not in {"published", "open", "suspended"}


@dataclass(frozen=True, slots=True)
class Wish:
    """A bid that somebody wants to place."""

    max_minor: int
    mode: str


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one bid: the last answer, or status 0 when none came before the deadline."""

    bidder: str
    key: str
    wish: Wish
    sent_ms: int
    answered_ms: int
    attempts: int
    status: int
    code: str
    body: bytes

    @property
    def acknowledged(self) -> bool:
        """Whether the server said 201."""
        return self.status == 201
