"""The routers of the sale: what everybody may ask, and what is behind a role."""

from __future__ import annotations

from api.resources import (
    approvals,
    bidders,
    bids,
    disposal_cases,
    lot_events,
    lots,
    my_bids,
    registrations,
    server_time,
    settlements,
)

OPEN = (lots.public, lot_events.router, bids.router, server_time.router)
"""Bids are among them because they identify the bidder themselves, on the connection of the bid."""
BEHIND_ROLES = (
    disposal_cases.router, lots.router, approvals.router, registrations.router, bidders.router,
    settlements.router, my_bids.router,
)  # fmt: skip
