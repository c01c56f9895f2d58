"""SQL of forgetting."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from core.db.pool import Connection


def empty_states(conn: Connection, empty: Mapping[str, bytes], start: datetime) -> int:
    """Replace the states that have seen something at or after ``start`` by empty ones.

    The rows stay and their versions rise: a worker that remembers a state must see that it is old.
    """
    return conn.execute(
        "WITH held AS (SELECT vehicle_id FROM vehicle_state WHERE vehicle_id = ANY(%(ids)s)"
        "  AND through >= %(start)s ORDER BY vehicle_id FOR UPDATE)"
        " UPDATE vehicle_state AS s SET state = v.state, state_version = s.state_version + 1,"
        " through = '-infinity', updated_at = clock_timestamp()"
        " FROM held, unnest(%(ids)s::text[], %(states)s::bytea[]) AS v(id, state)"
        " WHERE s.vehicle_id = held.vehicle_id AND s.vehicle_id = v.id",
        {"ids": list(empty), "states": list(empty.values()), "start": start},
    ).rowcount


def delete_memories(
    conn: Connection, vehicle_ids: Sequence[str], start: datetime, end: datetime
) -> dict[str, int]:
    """Delete checkpoints from ``start`` on, and passed or pending times that began in [start, end)."""
    told = {"vehicles": list(vehicle_ids), "start": start, "end": end}
    within = "vehicle_id = ANY(%(vehicles)s) AND since >= %(start)s AND since < %(end)s"
    return {
        table: conn.execute(f"DELETE FROM {table} WHERE {which}", told).rowcount
        for table, which in (
            ("vehicle_checkpoint", "vehicle_id = ANY(%(vehicles)s) AND through >= %(start)s"),
            ("deadline", within),
            ("time_mark", within),
        )
    }
