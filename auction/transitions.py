"""The life of a lot, in one table: what is not here is forbidden (auction.md B0).

``role`` says who: disposal (staff), timer (the sweeper), redemption (the loan was paid), books (money and
papers after the hammer). ``four_eyes``: whoever decides is not whoever asked.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from core.errors import Conflict

if TYPE_CHECKING:
    from auction.domain import Lot


@dataclass(frozen=True, slots=True)
class Transition:
    """One edge."""

    source: str
    event: str
    target: str
    role: str
    four_eyes: bool = False


TRANSITIONS = (
    Transition("draft", "submit", "review", "disposal"),
    Transition("review", "send_back", "draft", "disposal"),
    Transition("review", "publish", "published", "disposal", four_eyes=True),
    Transition("published", "open", "open", "timer"),
    # The loan was paid, extended or disputed between publishing and opening.
    Transition("published", "hold_back", "suspended", "timer"),
    Transition("open", "hammer", "hammered", "timer"),
    Transition("open", "end_unsold", "unsold", "timer"),
    Transition("published", "suspend", "suspended", "disposal", four_eyes=True),
    Transition("open", "suspend", "suspended", "disposal", four_eyes=True),
    # Back to where it was suspended from.
    Transition("suspended", "resume", "published", "disposal", four_eyes=True),
    Transition("suspended", "resume", "open", "disposal", four_eyes=True),
    Transition("published", "redeem", "withdrawn", "redemption"),
    Transition("open", "redeem", "withdrawn", "redemption"),
    Transition("suspended", "redeem", "withdrawn", "redemption"),
    # Nobody but staff has seen a draft, yet a loan that is paid ends its sale all the same.
    Transition("draft", "redeem", "withdrawn", "redemption"),
    Transition("review", "redeem", "withdrawn", "redemption"),
    Transition("draft", "withdraw", "withdrawn", "disposal", four_eyes=True),
    Transition("review", "withdraw", "withdrawn", "disposal", four_eyes=True),
    Transition("published", "withdraw", "withdrawn", "disposal", four_eyes=True),
    Transition("open", "withdraw", "withdrawn", "disposal", four_eyes=True),
    Transition("suspended", "withdraw", "withdrawn", "disposal", four_eyes=True),
    Transition("hammered", "pay", "paid", "books"),
    Transition("hammered", "default", "defaulted", "timer"),
    Transition("paid", "transfer", "transferred", "books"),
    Transition("transferred", "hand_over", "handed_over", "books"),
    Transition("handed_over", "close", "closed", "books"),
)

STATES = (
    "draft", "review", "published", "open", "suspended", "hammered", "unsold", "withdrawn",
    "paid", "defaulted", "transferred", "handed_over", "closed",
)  # fmt: skip
EVENTS = tuple(dict.fromkeys(edge.event for edge in TRANSITIONS))


def edges(state: str, event: str) -> tuple[Transition, ...]:
    """Return the edges of an event from a state; more than one only where history decides (resume)."""
    return tuple(edge for edge in TRANSITIONS if edge.source == state and edge.event == event)


def check_edge(lot: Lot, event: str) -> Transition:
    """Return the edge that the event takes from where the lot is.

    Raises:
        Conflict: there is none (``bad_edge``).
    """
    found = edges(lot.state, event)
    if not found:
        raise Conflict(
            f"Expected a lot that {event} can act on, was {lot.state}",
            code="bad_edge", state=lot.state, event=event,
        )  # fmt: skip
    if len(found) == 1:
        return found[0]
    # A lot suspended while open remembers how much of its time was left.
    wanted = "published" if lot.remaining_ms is None else "open"
    return next(edge for edge in found if edge.target == wanted)
