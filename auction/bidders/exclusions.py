"""Who may not bid: whoever sells, appraises, transports or owes, and whoever did not pay before."""

from __future__ import annotations

from typing import TYPE_CHECKING
from uuid import UUID

from auction.bidders import store
from auction.bidders.domain import EXCLUSION_REASONS, Exclusion
from core.errors import Forbidden, Rejected

if TYPE_CHECKING:
    from auction.bidders.domain import Bidder
    from core.db.pool import Connection

BIDDER_ROLE = "bidder"


def exclude(
    conn: Connection, bidder_id: int, reason: str, actor: str, *, case_id: UUID | None = None, note: str = ""
) -> Exclusion:
    """Exclude a bidder from a case, or without one from every sale. Bars nobody who has registered.

    Raises:
        Rejected: an unknown reason.
        NotFound: no such bidder.
    """
    if reason not in EXCLUSION_REASONS:
        raise Rejected(
            f"Exclusion: expected one of {', '.join(EXCLUSION_REASONS)}, was {reason!r}", code="bad_reason"
        )
    store.get_bidder(conn, bidder_id)
    return store.insert_exclusion(conn, bidder_id, case_id, reason, note.strip(), actor)


def exclude_appraiser(conn: Connection, case_id: UUID, appraiser: str, actor: str) -> None:
    """Exclude whoever appraised, if that is a bidder; one who becomes a bidder later is found by `check`."""
    bidder = store.bidder_of_actor(conn, appraiser)
    if bidder is not None and store.exclusion_in_force(conn, bidder.bidder_id, case_id) is None:
        store.insert_exclusion(conn, bidder.bidder_id, case_id, "appraiser", "", actor)


def check_not_staff(conn: Connection, actor: str) -> None:
    """Refuse whoever works for the seller, whatever else they are.

    Raises:
        Forbidden: the actor has a role other than bidder (``excluded_party``).
    """
    staff = sorted(set(store.roles_of_actor(conn, actor)) - {BIDDER_ROLE})
    if staff:
        raise Forbidden(
            f"Expected a bidder, was staff with the role {', '.join(staff)}",
            code="excluded_party",
            reason="staff",
        )


def check(conn: Connection, bidder: Bidder, case_id: UUID) -> None:
    """Refuse an excluded party.

    Raises:
        Forbidden: ``excluded_party``, with the reason in its facts.
    """
    check_not_staff(conn, bidder.actor)
    found = store.exclusion_in_force(conn, bidder.bidder_id, case_id)
    reason = found.reason if found else None
    if reason is None and store.appraised(conn, case_id, bidder.actor):
        reason = "appraiser"
    if reason is not None:
        raise Forbidden(
            f"Expected a party that may bid, was excluded as {reason}", code="excluded_party", reason=reason
        )
