"""SQL of estimates."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from psycopg.rows import class_row

from collateral.records import as_json
from core.errors import NotFound
from valuation.vehicles.domain import Estimate, Valued

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import date

    from core.db.pool import Connection

_COLUMNS = ", ".join(f"e.{name}" for name in Estimate.__dataclass_fields__)
_TYPES = {
    "vehicle_id": "text", "as_of": "date", "cause": "text", "status": "text", "cautions": "text[]",
    "reason": "text", "model_version": "text", "currency": "text", "channel": "text",
    "channel_permille": "integer", "estimate_minor": "bigint", "low_minor": "bigint", "high_minor": "bigint",
    "lending_minor": "bigint", "thickness": "double precision", "segment": "text",
    "odometer_km": "double precision", "odometer_source": "text", "odometer_at": "timestamptz",
    "condition": "double precision", "condition_source": "text", "appraisal_id": "bigint",
    "appraisal_minor": "bigint", "inputs": "jsonb", "waterfall": "jsonb", "comparables": "jsonb",
    "recorded_by": "text",
}  # fmt: skip


def insert_estimates(conn: Connection, valued: Sequence[Valued], *, cause: str, actor: str) -> dict[str, int]:
    """Write estimates; returns vehicle id -> estimate id of those written.

    A nightly estimate that stands already for the day and model is not written again.
    """
    if not valued:
        return {}
    names = list(_TYPES)
    rows = conn.execute(
        f"INSERT INTO estimate ({', '.join(names)}) SELECT {', '.join('r.' + name for name in names)}"
        f" FROM jsonb_to_recordset(%s::jsonb) AS r({', '.join(f'{n} {t}' for n, t in _TYPES.items())})"
        " ORDER BY r.vehicle_id"
        " ON CONFLICT (vehicle_id, as_of, model_version) WHERE cause = 'nightly' DO NOTHING"
        " RETURNING vehicle_id, estimate_id",
        (as_json(_row(one, cause, actor) for one in valued),),
    ).fetchall()
    return dict(rows)


def newest_estimate(conn: Connection, vehicle_id: str) -> Estimate | None:
    """Return what was written last about a vehicle."""
    with conn.cursor(row_factory=class_row(Estimate)) as cur:
        return cur.execute(
            f"SELECT {_COLUMNS} FROM estimate e WHERE e.vehicle_id = %s ORDER BY e.estimate_id DESC LIMIT 1",
            (vehicle_id,),
        ).fetchone()


def get_estimate(conn: Connection, estimate_id: int) -> Estimate:
    """Return one estimate.

    Raises:
        NotFound: there is none.
    """
    with conn.cursor(row_factory=class_row(Estimate)) as cur:
        found = cur.execute(
            f"SELECT {_COLUMNS} FROM estimate e WHERE e.estimate_id = %s", (estimate_id,)
        ).fetchone()
    if found is None:
        raise NotFound(f"Expected an estimate with id {estimate_id}, found none", code="estimate_not_found")
    return found


def list_estimates(
    conn: Connection,
    org_ids: Sequence[str],
    *,
    vehicle_id: str | None = None,
    before: int | None = None,
    limit: int = 100,
) -> list[Estimate]:
    """Return the estimates of vehicles of these branches, the newest first."""
    with conn.cursor(row_factory=class_row(Estimate)) as cur:
        return cur.execute(
            f"SELECT {_COLUMNS} FROM estimate e JOIN vehicle v USING (vehicle_id)"
            " WHERE v.org_id = ANY(%(orgs)s) AND (%(vehicle)s::text IS NULL OR e.vehicle_id = %(vehicle)s)"
            " AND (%(before)s::bigint IS NULL OR e.estimate_id < %(before)s)"
            " ORDER BY e.estimate_id DESC LIMIT %(limit)s",
            {"orgs": list(org_ids), "vehicle": vehicle_id, "before": before, "limit": limit},
        ).fetchall()


def estimate_on(
    conn: Connection, vehicle_id: str, currency: str, since: date, until: date
) -> tuple[int, int, date] | None:
    """Return (estimate id, amount, day) of the newest figure of the model between two days, both included."""
    row = conn.execute(
        "SELECT estimate_id, estimate_minor, as_of FROM estimate WHERE vehicle_id = %s AND currency = %s"
        " AND estimate_minor IS NOT NULL AND as_of BETWEEN %s AND %s"
        " ORDER BY as_of DESC, estimate_id DESC LIMIT 1",
        (vehicle_id, currency, since, until),
    ).fetchone()
    return None if row is None else (row[0], row[1], row[2])


def _row(valued: Valued, cause: str, actor: str) -> dict[str, Any]:
    odometer, figure = valued.facts.odometer, valued.appraisal_in_force
    return {
        "vehicle_id": valued.facts.vehicle_id, "as_of": valued.as_of, "cause": cause,
        "status": valued.status.value, "cautions": list(valued.cautions), "reason": valued.reason,
        "model_version": valued.model_version, "currency": valued.currency, "channel": valued.channel,
        "channel_permille": valued.channel_permille, "estimate_minor": valued.estimate_minor,
        "low_minor": valued.low_minor, "high_minor": valued.high_minor,
        "lending_minor": valued.lending_minor, "thickness": valued.thickness, "segment": valued.segment,
        "odometer_km": odometer.km if odometer else None,
        "odometer_source": odometer.source if odometer else None,
        "odometer_at": odometer.at if odometer else None, "condition": valued.facts.condition,
        "condition_source": valued.facts.condition_source,
        "appraisal_id": figure.appraisal_id if figure else None,
        "appraisal_minor": figure.value_minor if figure else None, "inputs": valued.inputs,
        "waterfall": valued.waterfall, "comparables": valued.comparables, "recorded_by": actor,
    }  # fmt: skip
