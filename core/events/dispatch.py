"""Dispatching: each handler has a cursor of its own and sees each event at least once, in order."""

from __future__ import annotations

from typing import TYPE_CHECKING

import structlog

from core.events.store import (
    DomainEvent,
    LogPosition,
    count_failure,
    lock_position,
    read_events,
    save_position,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from core.db.pool import Connection

MAX_ATTEMPTS = 10
"""After so many failures an event is set aside (kept in event_failure), so that one poisoned event
cannot hold up every later one."""

_log = structlog.get_logger("events")


def dispatch_once(
    conn: Connection,
    consumer: str,
    handlers: Mapping[str, Callable[[Connection, DomainEvent], None]],
    *,
    limit: int = 200,
) -> int:
    """Handle the next events of one consumer; returns how many were passed.

    Each event is one transaction with the cursor's move, so a crash repeats at most the one
    event that was not committed. ``conn`` must be in autocommit mode.
    """
    passed = 0
    while passed < limit:
        try:
            with conn.transaction():
                position = lock_position(conn, consumer)
                events = read_events(conn, position, 1)
                if not events:
                    return passed
                event = events[0]
                handler = handlers.get(event.kind)
                if handler is not None:
                    handler(conn, event)
                save_position(conn, consumer, LogPosition(event.txid, event.seq))
        except Exception as exc:  # any handler error is recorded and retried, never swallowed
            if conn.closed:
                raise
            if not _set_aside(conn, consumer, exc):
                return passed
        passed += 1
    return passed


def _set_aside(conn: Connection, consumer: str, error: Exception) -> bool:
    """Count the failure of the next event; skip it once it has failed MAX_ATTEMPTS times."""
    with conn.transaction():
        position = lock_position(conn, consumer)
        events = read_events(conn, position, 1)
        if not events:
            return False
        event = events[0]
        attempts = count_failure(conn, consumer, event.seq, f"{type(error).__name__}: {error}")
        _log.error(
            "event_handler_failed", consumer=consumer, kind=event.kind, attempts=attempts, exc_info=error
        )
        if attempts < MAX_ATTEMPTS:
            return False
        save_position(conn, consumer, LogPosition(event.txid, event.seq))
        return True
