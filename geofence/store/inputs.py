"""SQL across the kinds of inputs of a vehicle (the reports themselves: core/telemetry/store.py)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from core.clock import from_ms, to_ms

if TYPE_CHECKING:
    from core.db.pool import Connection


def next_input_ms(conn: Connection, vehicle_id: str, after_ms: int) -> int | None:
    """Return the event time of the first input after a moment; None: there is none."""
    row = conn.execute(
        "SELECT least("
        " (SELECT min(t) FROM telemetry WHERE vehicle_id = %(v)s AND t > %(after)s),"
        " (SELECT min(t) FROM telemetry_undated WHERE vehicle_id = %(v)s AND t > %(after)s),"
        " (SELECT min(due_at) FROM time_mark WHERE vehicle_id = %(v)s AND due_at > %(after)s))",
        {"v": vehicle_id, "after": from_ms(after_ms)},
    ).fetchone()
    return None if row is None or row[0] is None else to_ms(row[0])


def vehicles_with_inputs(conn: Connection) -> list[str]:
    """Return every vehicle of which anything is stored."""
    rows = conn.execute(
        "SELECT vehicle_id FROM telemetry WHERE vehicle_id IS NOT NULL"
        " UNION SELECT vehicle_id FROM telemetry_undated WHERE vehicle_id IS NOT NULL"
        " UNION SELECT vehicle_id FROM time_mark ORDER BY 1"
    ).fetchall()
    return [row[0] for row in rows]
