"""SQL of the bare peer: the same vehicles, written down directly."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from psycopg.rows import dict_row

if TYPE_CHECKING:
    from core.db.pool import Connection


def bare_vehicles(conn: Connection, limit: int) -> list[dict[str, Any]]:
    """Return vehicles with the loan and the alert count, everybody's."""
    with conn.cursor(row_factory=dict_row) as cursor:
        return cursor.execute(
            "SELECT v.vehicle_id, v.vin, v.plate, v.make, v.model, v.model_year, v.colour, v.org_id,"
            " v.version, l.loan_id, l.status, l.days_past_due, l.balance_minor, l.currency, l.next_due_on,"
            " (SELECT count(*) FROM alert a WHERE a.vehicle_id = v.vehicle_id"
            "  AND a.condition <> 'cleared') AS open_alerts"
            " FROM vehicle v LEFT JOIN loan l USING (vehicle_id) ORDER BY v.vehicle_id LIMIT %s",
            (limit,),
        ).fetchall()
