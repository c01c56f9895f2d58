"""SQL of vehicles."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from collateral.domain import Custody, UpsertCounts, Vehicle
from collateral.records import as_json, counted

if TYPE_CHECKING:
    from core.db.pool import Connection

_COLUMNS = (
    "vehicle_id, vin, plate, engine_number, make, model, model_year, colour, first_registration,"
    " use_character, emission_stage, custody, org_id, pledgor_id"
)
_KEPT = (
    "vin", "plate", "engine_number", "make", "model", "model_year", "colour", "first_registration",
    "use_character", "emission_stage", "custody", "org_id", "pledgor_id",
)  # fmt: skip

_UPSERT = f"""
INSERT INTO vehicle AS v ({_COLUMNS})
SELECT r.vehicle_id, r.vin, r.plate, r.engine_number, r.make, r.model, r.model_year, r.colour,
       r.first_registration, r.use_character, r.emission_stage,
       coalesce(r.custody, old.custody, 'pledgor'), coalesce(r.org_id, old.org_id, 'head'), r.pledgor_id
FROM jsonb_to_recordset(%s::jsonb) AS r(
       vehicle_id text, vin text, plate text, engine_number text, make text, model text, model_year integer,
       colour text, first_registration date, use_character text, emission_stage text, custody text,
       org_id text, pledgor_id text)
LEFT JOIN vehicle old USING (vehicle_id)
ORDER BY r.vehicle_id
ON CONFLICT (vehicle_id) DO UPDATE SET
    {", ".join(f"{name} = coalesce(EXCLUDED.{name}, v.{name})" for name in _KEPT)},
    version = v.version + 1, updated_at = now()
WHERE ({", ".join(f"v.{name}" for name in _KEPT)}) IS DISTINCT FROM
      ({", ".join(f"coalesce(EXCLUDED.{name}, v.{name})" for name in _KEPT)})
RETURNING (xmax = 0)
"""


def upsert_vehicles(conn: Connection, vehicles: Sequence[Vehicle]) -> UpsertCounts:
    """Write vehicles; a column that is None keeps what is stored. Ids must differ."""
    if not vehicles:
        return UpsertCounts()
    return counted(len(vehicles), conn.execute(_UPSERT, (as_json(vehicles),)).fetchall())


def find_vehicle_ids(conn: Connection, texts: Sequence[str]) -> dict[str, str]:
    """Map each text that is a vehicle id or a VIN to its vehicle id; an id wins over a VIN."""
    rows = conn.execute(
        "SELECT vin, vehicle_id FROM vehicle WHERE vin = ANY(%(texts)s)"
        " UNION ALL SELECT vehicle_id, vehicle_id FROM vehicle WHERE vehicle_id = ANY(%(texts)s)",
        {"texts": list(texts)},
    ).fetchall()
    return dict(rows)


def vehicles_by_vin(conn: Connection, vins: Sequence[str]) -> dict[str, str]:
    """Map VINs that are taken to the vehicle that has each."""
    return dict(
        conn.execute("SELECT vin, vehicle_id FROM vehicle WHERE vin = ANY(%s)", (list(vins),)).fetchall()
    )


def set_custody(conn: Connection, vehicle_id: str, custody: Custody) -> bool:
    """Say who has a vehicle now; false when that was so already, or there is no such vehicle."""
    done = conn.execute(
        "UPDATE vehicle SET custody = %(custody)s, version = version + 1, updated_at = now()"
        " WHERE vehicle_id = %(vehicle)s AND custody <> %(custody)s",
        {"custody": custody.value, "vehicle": vehicle_id},
    )
    return done.rowcount == 1
