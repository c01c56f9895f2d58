"""The job that brings settled chunks into the columnstore, and those that got late rows once more."""

from __future__ import annotations

from typing import TYPE_CHECKING

from core.db.timescale import detect
from core.telemetry.storage.chunks import store
from core.telemetry.storage.periods import COLUMNSTORE_AFTER

if TYPE_CHECKING:
    from datetime import datetime

    from core.db.pool import Connection


def settle_chunks(conn: Connection, now: datetime) -> int:
    """Compress what ended long enough before ``now``, each chunk in a transaction; returns how many.

    ``conn`` is in autocommit mode. Without TimescaleDB there is nothing to do.
    """
    if detect(conn).timescaledb is None:
        return 0
    settled = 0
    for chunk in store.chunks(conn):
        if chunk.ends > now - COLUMNSTORE_AFTER:
            continue
        with conn.transaction():
            late = 0
            if chunk.compressed:
                outside, late = store.rows_outside(conn, chunk, store.compressed_at(conn, chunk))
                if not outside:
                    continue
            store.compress(conn, chunk, now, late)
            settled += 1
    return settled
