"""The sale as the public sees it: the list of lots, and the page on which one is bid for."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any
from uuid import UUID

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse

from api.deps import Conn, Wired
from api.paging import Cursor, cut, decode_moment_and_id
from api.resources.registrations import own
from api.sale.events import BID, bid_line
from api.sale.lots import lot_out, lots_out, words_of
from api.sale.visitors import HIDDEN_STATES, Visitor, is_public, sees_drafts, visible_lot
from api.web.render import locale_of, render
from auction.bidders import store as bidders
from auction.domain import PUBLIC_STATES
from auction.log import store as log
from auction.lots import store
from collateral.domain import Role
from core.clock import to_ms
from core.policy.pack import load_pack

if TYPE_CHECKING:
    from api.auth import Asker
    from auction.domain import Lot
    from core.db.pool import Connection
    from core.policy.pack import Locale

router = APIRouter(include_in_schema=False)

PAGE = 60
HISTORY = 40
HISTORY_READ = 400
ON_SALE = ("published", "open", "suspended")


@router.get("/lots")
def lots_page(
    request: Request, conn: Conn, visitor: Visitor, services: Wired, ended: str = "", cursor: Cursor = None
) -> HTMLResponse:
    """Show what is on sale, or with ``?ended=1`` what was; staff see their drafts above it."""
    states = [state for state in PUBLIC_STATES if (state not in ON_SALE) == bool(ended)]
    rows = store.list_lots(conn, states=states, after=decode_moment_and_id(cursor), limit=PAGE + 1)
    shown, following = cut(rows, PAGE, lambda lot: (lot.starts_at.isoformat(), str(lot.lot_id)))
    now = services.database_time()
    drafts = []
    if visitor is not None and sees_drafts(visitor) and not ended and cursor is None:
        drafts = store.list_lots(conn, org_ids=visitor.org_ids, states=HIDDEN_STATES, limit=PAGE)
    return render(
        request, services, visitor, "lots.html", lots=lots_out(conn, list(filter(is_public, shown)), now),
        drafts=lots_out(conn, drafts, now), ended=bool(ended), following=following, now_ms=to_ms(now),
        notice=_notice(services.settings.policy_pack, _locale(request, services)),
    )  # fmt: skip


@router.get("/lots/{lot_id}")
def lot_page(request: Request, conn: Conn, visitor: Visitor, services: Wired, lot_id: UUID) -> HTMLResponse:
    """Show one lot, with the form to bid for those who may."""
    lot = visible_lot(conn, visitor, lot_id)
    locale = _locale(request, services)
    seen = lot_out(conn, lot, services.database_time()).model_copy(update={"words": words_of(lot, locale)})
    mine = _mine(conn, visitor, lot)
    return render(
        request, services, visitor, "lot.html", lot=seen, mine=mine, w=seen.words,
        lot_json=seen.model_dump_json(), mine_json=json.dumps(mine), history=_history(conn, lot),
        is_bidder=_is_bidder(visitor), notice=_notice(lot.pack, locale, lot.pack_version),
    )  # fmt: skip


def _history(conn: Connection, lot: Lot) -> list[dict[str, Any]]:
    """Return the newest bids, newest first."""
    events = log.events_after(conn, lot.lot_id, max(0, lot.seq - HISTORY_READ), HISTORY_READ)
    lines = [bid_line(lot, event).model_dump() for event in events if event.kind == BID]
    return list(reversed(lines))[:HISTORY]


def _mine(conn: Connection, visitor: Asker | None, lot: Lot) -> dict[str, Any] | None:
    bidder = bidders.bidder_of_actor(conn, visitor.actor) if visitor else None
    registration = bidders.registration_of(conn, lot.lot_id, bidder.bidder_id) if bidder else None
    if bidder is None or registration is None:
        return None
    return own(conn, registration, lot, bidder).model_dump(mode="json")


def _is_bidder(visitor: Asker | None) -> bool:
    return visitor is not None and visitor.roles == {Role.BIDDER}


def _locale(request: Request, services: Wired) -> Locale:
    return "en" if locale_of(request, services.settings) == "en" else "zh-CN"


def _notice(pack: str, locale: Locale, version: int | None = None) -> str:
    return load_pack(pack, version).word("notice", locale)
