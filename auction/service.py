"""The auction process: sweeps until told to stop, and says so by beats."""

from __future__ import annotations

from typing import TYPE_CHECKING

import psycopg
import structlog

from auction.timers import store
from auction.timers.sweep import sweep
from core.db.pool import connect

if TYPE_CHECKING:
    import threading

    from core.db.pool import Connection

TICK_MS = 100
"""Bounds how late a lot opens or closes; the sweep itself is one index look-up when nothing is due."""
SWEEPS_PER_BEAT = 10
RETRY_WAIT_S = 1

_log = structlog.get_logger("auction")


def run_sweeper(database_url: str, stop: threading.Event, *, production: bool) -> None:
    """Sweep until ``stop``; a database that goes away is waited for."""
    while not stop.is_set():
        try:
            with connect(database_url, name="auction", autocommit=True) as conn:
                store.limit_lock_waits(conn)
                opening = may_open(conn, production=production)
                _sweep_until(conn, stop, opening=opening)
        except psycopg.OperationalError as exc:
            _log.warning("database_away", worker="auction", error=str(exc).strip())
            stop.wait(RETRY_WAIT_S)


def may_open(conn: Connection, *, production: bool) -> bool:
    """Return whether lots may open: not in production on a server that forgets committed bids in a crash."""
    promised = store.durability(conn)
    if promised.kept:
        return True
    settings = {
        "fsync": promised.fsync,
        "synchronous_commit": promised.synchronous_commit,
        "full_page_writes": promised.full_page_writes,
    }
    if production:
        _log.error(
            "lots_not_opened",
            reason="expected fsync, synchronous_commit and full_page_writes on: bids must survive",
            **settings,
        )
        return False
    _log.warning("bids_may_be_lost_in_a_crash", **settings)
    return True


def _sweep_until(conn: Connection, stop: threading.Event, *, opening: bool) -> None:
    sweeps = 0
    while not stop.is_set():
        if sweeps % SWEEPS_PER_BEAT == 0:
            # Before the sweep: an outage that ends with us is known before any hammer falls.
            store.beat(conn, "sweeper")
        sweeps += 1
        if sweep(conn, opening=opening) == 0:
            stop.wait(TICK_MS / 1000)
