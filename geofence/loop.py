"""A loop that works while there is work, waits when there is none, and outlives the database."""

from __future__ import annotations

import random
import threading
from typing import TYPE_CHECKING

import psycopg
import structlog

from core.db.pool import connect

if TYPE_CHECKING:
    from collections.abc import Callable

    from core.db.pool import Connection

IDLE_S = 0.5
LONGEST_WAIT_S = 30.0

_log = structlog.get_logger("loop")


def run_until(
    stop: threading.Event,
    database_url: str,
    name: str,
    step: Callable[[Connection], bool],
    idle_s: float = IDLE_S,
) -> None:
    """Call ``step`` until told to stop; it returns whether there was work, and gets autocommit.

    A failure, of the database or of one piece of work, is logged and followed by a growing wait
    with jitter, so that two processes do not knock in step.
    """
    failures = 0
    conn: Connection | None = None
    while not stop.is_set():
        try:
            if conn is None or conn.closed or conn.broken:
                conn = connect(database_url, name=name, autocommit=True)
            worked = step(conn)
            failures = 0
        except psycopg.Error as exc:
            failures += 1
            _log.warning("database_failed", loop=name, failures=failures, error=str(exc).strip())
            if conn is not None and (conn.broken or conn.info.transaction_status != 0):
                conn.close()
        except Exception:  # noqa: BLE001 - logged with its trace; one bad vehicle must not stop the loop
            failures += 1
            _log.exception("step_failed", loop=name, failures=failures)
        if failures:
            stop.wait(min(LONGEST_WAIT_S, 0.25 * 2.0 ** min(failures, 10)) * random.uniform(0.5, 1.0))  # noqa: S311
        elif not worked:
            stop.wait(idle_s)
    if conn is not None:
        conn.close()
