"""Who looks at a sale: anybody. Staff of the branch also see what is not published yet."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated
from uuid import UUID

from fastapi import Depends, Request

from api.auth import Asker, identify
from api.deps import Conn
from auction.lots import store as lots
from core.errors import NotFound, Unauthenticated

if TYPE_CHECKING:
    from auction.domain import Lot
    from core.db.pool import Connection

HIDDEN_STATES = ("draft", "review")
"""The states that `auction.domain.PUBLIC_STATES` leaves to the staff."""


def visitor_of(request: Request, conn: Conn) -> Asker | None:
    """Return who looks, None for a stranger. An old cookie makes a stranger, a bad token is refused."""
    if request.headers.get("authorization") is None:
        try:
            visitor = identify(conn, request)
        except Unauthenticated:
            return None
    else:
        visitor = identify(conn, request)
    request.state.asker = visitor
    return visitor


Visitor = Annotated[Asker | None, Depends(visitor_of)]


def is_public(lot: Lot) -> bool:
    """Whether a stranger may see it; one that was withdrawn before it was published stays inside."""
    return lot.state not in HIDDEN_STATES and lot.published_at is not None


def sees_drafts(visitor: Asker | None) -> bool:
    """Whether somebody sees the unpublished lots of their branches."""
    return visitor is not None and visitor.may("list_registrations")


def visible_lot(conn: Connection, visitor: Asker | None, lot_id: UUID) -> Lot:
    """Return a lot that the visitor may see.

    Raises:
        NotFound: there is none, or it is a draft of others.
    """
    lot = lots.get_lot(conn, lot_id)
    if not is_public(lot) and not (
        visitor is not None and sees_drafts(visitor) and lot.org_id in visitor.org_ids
    ):
        raise NotFound(
            f"Lot: expected one that is published, found none with id {lot_id}", code="lot_not_found"
        )
    return lot


def own_lot(conn: Connection, asker: Asker, lot_id: UUID) -> Lot:
    """Return a lot of the asker's branches, for those who run its sale.

    Raises:
        NotFound: there is none, or it belongs to another branch.
    """
    lot = lots.get_lot(conn, lot_id)
    asker.require_org(lot.org_id, f"a lot with id {lot_id}")
    return lot
