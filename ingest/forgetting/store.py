"""SQL of forgetting."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from core.db.pool import Connection


def forget(conn: Connection, device_ids: Sequence[str], start: datetime, end: datetime) -> dict[str, int]:
    """Delete what was refused of these devices and received within [start, end); returns rows by table."""
    return {
        table: conn.execute(
            f"DELETE FROM {table} WHERE device_id = ANY(%s) AND received_at >= %s AND received_at < %s",
            (list(device_ids), start, end),
        ).rowcount
        for table in ("quarantine", "dead_letter")
    }
