"""SQL that gathers what is known of many vehicles at once."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Any

from psycopg.rows import dict_row

from valuation.appraisals.domain import Appraisal
from valuation.inspections.domain import ODOMETER_MOST_KM
from valuation.vehicles.domain import Facts, Owed
from valuation.vehicles.odometer import Reading, choose

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import date, datetime

    from core.db.pool import Connection

_APPRAISAL = tuple(Appraisal.__dataclass_fields__)

_FACTS = f"""
SELECT v.vehicle_id, v.vin, v.make, v.model, v.model_year, v.first_registration, v.colour,
       p.odometer_km AS reported_km, p.t AS reported_at,
       n.odometer_km AS newest_km, n.inspected_at AS newest_at,
       m.odometer_km AS most_km, m.inspected_at AS most_at,
       e.odometer_km AS kept_km, e.odometer_source AS kept_source, e.odometer_at AS kept_at,
       c.condition, c.inspection_id AS condition_of,
       o.appraisal_id AS open_appraisal_id,
       {", ".join(f"a.{name} AS a_{name}" for name in _APPRAISAL)}
FROM vehicle v
LEFT JOIN LATERAL (SELECT odometer_km, t FROM latest_position
    WHERE vehicle_id = v.vehicle_id AND odometer_km <= %(most)s AND t <= %(until)s
    ORDER BY t DESC LIMIT 1) p ON true
LEFT JOIN LATERAL (SELECT odometer_km, inspected_at FROM inspection
    WHERE vehicle_id = v.vehicle_id AND odometer_km IS NOT NULL AND inspected_at <= %(until)s
    ORDER BY inspected_at DESC, inspection_id DESC LIMIT 1) n ON true
LEFT JOIN LATERAL (SELECT odometer_km, inspected_at FROM inspection
    WHERE vehicle_id = v.vehicle_id AND odometer_km IS NOT NULL AND inspected_at <= %(until)s
    ORDER BY odometer_km DESC, inspected_at DESC LIMIT 1) m ON true
LEFT JOIN LATERAL (SELECT odometer_km, odometer_source, odometer_at FROM estimate
    WHERE vehicle_id = v.vehicle_id AND odometer_at <= %(until)s
    ORDER BY estimate_id DESC LIMIT 1) e ON true
LEFT JOIN LATERAL (SELECT inspection_id, condition FROM inspection
    WHERE vehicle_id = v.vehicle_id AND condition IS NOT NULL AND inspected_at <= %(until)s
    ORDER BY inspected_at DESC, inspection_id DESC LIMIT 1) c ON true
LEFT JOIN manual_appraisal o ON o.vehicle_id = v.vehicle_id AND o.state = 'open'
LEFT JOIN LATERAL (SELECT * FROM manual_appraisal
    WHERE vehicle_id = v.vehicle_id AND state = 'closed' AND appraised_on <= %(today)s
    ORDER BY appraised_on DESC, appraisal_id DESC LIMIT 1) a ON true
WHERE v.vehicle_id = ANY(%(ids)s) ORDER BY v.vehicle_id
"""


def facts_of(conn: Connection, vehicle_ids: Sequence[str], until: datetime, today: date) -> list[Facts]:
    """Return what was known of vehicles up to a moment, by vehicle id; unknown ids are left out.

    ``today`` is the day of that moment where the lender is: appraisals are dated by day.
    """
    with conn.cursor(row_factory=dict_row) as cur:
        rows = cur.execute(
            _FACTS, {"ids": list(vehicle_ids), "until": until, "today": today, "most": ODOMETER_MOST_KM}
        ).fetchall()
    return [_facts(row, until) for row in rows]


def lock_vehicles(conn: Connection, vehicle_ids: Sequence[str]) -> None:
    """Hold the vehicles in id order until the transaction ends, so that nobody else marks them meanwhile."""
    conn.execute(
        "SELECT vehicle_id FROM vehicle WHERE vehicle_id = ANY(%s) ORDER BY vehicle_id FOR NO KEY UPDATE",
        (list(vehicle_ids),),
    )


def live_loans(conn: Connection, vehicle_ids: Sequence[str]) -> dict[str, list[Owed]]:
    """Return the loans still owed on each vehicle, by loan id."""
    owed: dict[str, list[Owed]] = defaultdict(list)
    for row in conn.execute(
        "SELECT loan_id, vehicle_id, currency, balance_minor FROM loan WHERE vehicle_id = ANY(%s)"
        " AND status NOT IN ('paid', 'written_off') AND balance_minor > 0 ORDER BY loan_id",
        (list(vehicle_ids),),
    ):
        owed[row[1]].append(Owed(*row))
    return owed


def _facts(row: dict[str, Any], known_at: datetime) -> Facts:
    readings = [
        Reading(row[f"{name}_km"], source, row[f"{name}_at"])
        for name, source in (
            ("reported", "telemetry"),
            ("newest", "inspection"),
            ("most", "inspection"),
            ("kept", row["kept_source"]),
        )
        if row[f"{name}_km"] is not None
    ]
    appraisal = None
    if row["a_appraisal_id"] is not None:
        appraisal = Appraisal(**{name: row[f"a_{name}"] for name in _APPRAISAL})
    return Facts(
        vehicle_id=row["vehicle_id"], known_at=known_at, vin=row["vin"], make=row["make"],
        model=row["model"], model_year=row["model_year"], first_registration=row["first_registration"],
        colour=row["colour"], odometer=choose(readings), condition=row["condition"],
        condition_source=None if row["condition_of"] is None else f"inspection:{row['condition_of']}",
        open_appraisal_id=row["open_appraisal_id"], appraisal=appraisal,
    )  # fmt: skip
