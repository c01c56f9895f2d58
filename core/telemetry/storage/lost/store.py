"""SQL of what is lost."""

from __future__ import annotations

from datetime import UTC, datetime, time
from typing import TYPE_CHECKING

from core.clock import to_ms

if TYPE_CHECKING:
    from core.db.pool import Connection

BEGINNING_MS, END_MS = -(2**62), 2**62


def lost_spans(conn: Connection, vehicle_id: str) -> list[tuple[int, int]]:
    """Return spans [start, end) in Unix milliseconds in which reports of a vehicle may have gone.

    The first is everything before the oldest day that is kept.
    """
    row = conn.execute("SELECT min(day) FROM telemetry_partition").fetchone()
    oldest = row[0] if row else None
    kept_from = END_MS if oldest is None else to_ms(datetime.combine(oldest, time(), UTC))
    erased = conn.execute(
        "SELECT erased_from, erased_until FROM telemetry_erasure WHERE vehicles @> ARRAY[%s::text]"
        " ORDER BY erased_from",
        (vehicle_id,),
    ).fetchall()
    return [(BEGINNING_MS, kept_from), *((to_ms(start), to_ms(end)) for start, end in erased)]
