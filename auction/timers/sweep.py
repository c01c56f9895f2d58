"""Do what is due: open lots, let the hammer fall, notice payments that did not come.

Nothing is remembered between sweeps: the times are in the rows, so a process that starts after any outage
does everything that is due, in due order. Bids after the end are refused with or without a sweeper.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import psycopg
import structlog

from auction import aftermath
from auction.lots import actions, store
from auction.timers import store as timers

if TYPE_CHECKING:
    from collections.abc import Callable
    from uuid import UUID

    from auction.domain import Lot
    from auction.timers.store import DueTimer
    from core.db.pool import Connection

RETRY_AFTER_MS = 1_000

_log = structlog.get_logger("auction")


def sweep(conn: Connection, *, limit: int = 50, opening: bool = True) -> int:
    """Do up to ``limit`` due timers on an autocommit connection; returns how many took effect.

    Each lot is a transaction of its own. One that fails is logged and tried again after a second, so
    that it holds up no other.

    Raises:
        psycopg.OperationalError: the database went away.
    """
    for lot_id in timers.lots_owed_time(conn):
        _attempt(conn, lot_id, "outage", partial(_make_up, conn, lot_id))
    done = 0
    for due in timers.due_timers(conn, limit, opening=opening):
        worked = _attempt(conn, due.lot_id, due.kind, partial(_do, conn, due))
        if worked is None:
            timers.postpone(conn, due, RETRY_AFTER_MS)
        done += bool(worked)
    return done


def _attempt(conn: Connection, lot_id: UUID, what: str, work: Callable[[], bool]) -> bool | None:
    """Do it in a transaction unless another sweeper has the lot; None when it failed."""
    try:
        with conn.transaction():
            return timers.claim(conn, lot_id) and work()
    except Exception as exc:  # one lot that cannot be closed must not keep the others open
        if conn.closed:
            raise
        if isinstance(exc, psycopg.errors.LockNotAvailable):
            _log.warning("lot_is_held", lot_id=str(lot_id), timer=what)
        else:
            _log.exception("timer_failed", lot_id=str(lot_id), timer=what)
        return None


def _make_up(conn: Connection, lot_id: UUID) -> bool:
    return actions.make_up(conn, lot_id) is not None


def _do(conn: Connection, due: DueTimer) -> bool:
    if due.kind == "end":
        return _end(conn, due)
    lot = store.get_lot(conn, due.lot_id, lock=True)
    if lot.epoch != due.epoch or lot.timer_kind != due.kind:
        return False  # somebody was faster
    if due.kind == "start":
        _tell(actions.open_on_time(conn, due.lot_id))
    else:
        aftermath.pay_by_passed(conn, lot)
    return True


def _end(conn: Connection, due: DueTimer) -> bool:
    """The hammer. Order: the drain has passed, then the fence, then the row, then the end is read again."""
    if not timers.is_past_drain(conn, due.lot_id):
        timers.rearm_end(conn, due.lot_id)
        return False
    timers.take_close_fence(conn, due.lot_id)
    if actions.make_up(conn, due.lot_id) is not None:
        return True
    outcome = timers.call_decide(conn, due.lot_id, due.epoch)
    if outcome not in {"hammered", "unsold"}:
        return False
    lot = store.get_lot(conn, due.lot_id)
    if outcome == "unsold":
        aftermath.ended_without_sale(conn, lot)
    else:
        aftermath.hammered(conn, lot)
    _tell(lot)
    return True


def _tell(lot: Lot) -> None:
    _log.info("lot_moved", lot=lot.number, state=lot.state, seq=lot.seq)
