"""Whether a registration may bid."""

from __future__ import annotations

from typing import TYPE_CHECKING
from uuid import UUID

from auction.bidders import store
from auction.bidders.domain import Registration

if TYPE_CHECKING:
    from core.db.pool import Connection


def refresh_eligibility(conn: Connection, registration_id: UUID) -> Registration:
    """Let a registration bid once identity is verified and the deposit held, and no longer when not."""
    registration = store.get_registration(conn, registration_id, lock=True)
    if registration.state not in {"applied", "eligible"}:
        return registration
    bidder = store.get_bidder(conn, registration.bidder_id)
    may = bidder.kyc_state == "verified" and store.deposit_is_held(conn, registration_id)
    state = "eligible" if may else "applied"
    if state != registration.state:
        store.set_state(conn, registration_id, state)
    return store.get_registration(conn, registration_id)
