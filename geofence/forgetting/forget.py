"""Making the rules begin anew with a vehicle whose reports were erased."""

from __future__ import annotations

from typing import TYPE_CHECKING

from geofence.engine import initial_state, to_bytes
from geofence.forgetting import store

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from core.db.pool import Connection


def forget(conn: Connection, vehicle_ids: Sequence[str], start: datetime, end: datetime) -> dict[str, int]:
    """Forget every state that has seen something of [start, end), in the caller's transaction.

    A state holds places and stays, so one that has seen any of it goes whole. Returns rows by table.
    """
    empty = {vehicle_id: to_bytes(initial_state(vehicle_id)) for vehicle_id in sorted(vehicle_ids)}
    return {
        "vehicle_state": store.empty_states(conn, empty, start),
        **store.delete_memories(conn, list(empty), start, end),
    }
