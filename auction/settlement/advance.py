"""The lot after the hammer: paid, defaulted, transferred, handed over, closed. It follows the books."""

from __future__ import annotations

from typing import TYPE_CHECKING
from uuid import UUID

from auction.lots import store as lots
from auction.transitions import check_edge

if TYPE_CHECKING:
    from auction.domain import Lot
    from core.db.pool import Connection


def advance(conn: Connection, lot_id: UUID, event: str) -> Lot:
    """Take a lot along ``pay``, ``default``, ``transfer``, ``hand_over`` or ``close``; disarms its timer.

    The public chain ended with the hammer, so it does not grow.

    Raises:
        Conflict: the state table has no such edge (``bad_edge``).
    """
    lot = lots.get_lot(conn, lot_id, lock=True)
    target = check_edge(lot, event).target
    return lots.update_lot(
        conn,
        lot_id,
        {"state": target, "epoch": lot.epoch + 1, "next_timer_at": None, "timer_kind": None},
    )
