"""SQL of inspections. Rows are only ever added."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from core.errors import NotFound
from valuation.inspections.domain import FLAGS, Inspection, NewInspection

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from core.db.pool import Connection

_COLUMNS = (
    "i.inspection_id, i.vehicle_id, i.inspected_at, i.inspector, i.odometer_km, i.condition,"
    f" {', '.join('i.' + flag for flag in FLAGS)}, i.note, i.photos, i.recorded_by, i.recorded_at"
)


def insert_inspection(conn: Connection, told: NewInspection, actor: str) -> Inspection:
    """Write an inspection."""
    row = conn.execute(
        "INSERT INTO inspection AS i (vehicle_id, inspected_at, inspector, odometer_km, condition,"
        f" {', '.join(FLAGS)}, note, photos, recorded_by)"
        f" VALUES (%s, %s, %s, %s, %s, {', '.join('%s' for _ in FLAGS)}, %s, %s, %s) RETURNING {_COLUMNS}",
        (
            told.vehicle_id, told.inspected_at, told.inspector, told.odometer_km, told.condition,
            *(flag in told.flags for flag in FLAGS), told.note, list(told.photos), actor,
        ),
    ).fetchone()  # fmt: skip
    assert row is not None  # noqa: S101 - RETURNING of an insert always has a row
    return _inspection(row)


def get_inspection(conn: Connection, inspection_id: int) -> Inspection:
    """Return one inspection.

    Raises:
        NotFound: there is none.
    """
    row = conn.execute(
        f"SELECT {_COLUMNS} FROM inspection i WHERE i.inspection_id = %s", (inspection_id,)
    ).fetchone()
    if row is None:
        raise NotFound(
            f"Expected an inspection with id {inspection_id}, found none", code="inspection_not_found"
        )
    return _inspection(row)


def list_inspections(
    conn: Connection,
    org_ids: Sequence[str],
    *,
    vehicle_id: str | None = None,
    before: int | None = None,
    limit: int = 100,
) -> list[Inspection]:
    """Return the inspections of vehicles of these branches, the newest record first."""
    rows = conn.execute(
        f"SELECT {_COLUMNS} FROM inspection i JOIN vehicle v USING (vehicle_id)"
        " WHERE v.org_id = ANY(%(orgs)s) AND (%(vehicle)s::text IS NULL OR i.vehicle_id = %(vehicle)s)"
        " AND (%(before)s::bigint IS NULL OR i.inspection_id < %(before)s)"
        " ORDER BY i.inspection_id DESC LIMIT %(limit)s",
        {"orgs": list(org_ids), "vehicle": vehicle_id, "before": before, "limit": limit},
    ).fetchall()
    return list(map(_inspection, rows))


def greatest_reading_before(conn: Connection, vehicle_id: str, moment: datetime) -> float | None:
    """Return the greatest odometer known of a vehicle up to a moment, inspected or reported."""
    row = conn.execute(
        "SELECT max(km) FROM ("
        " SELECT odometer_km AS km FROM inspection"
        "  WHERE vehicle_id = %(vehicle)s AND inspected_at <= %(moment)s"
        " UNION ALL SELECT odometer_km FROM latest_position"
        "  WHERE vehicle_id = %(vehicle)s AND t <= %(moment)s"
        " UNION ALL SELECT odometer_km FROM estimate"
        "  WHERE vehicle_id = %(vehicle)s AND odometer_at <= %(moment)s) known",
        {"vehicle": vehicle_id, "moment": moment},
    ).fetchone()
    return None if row is None else row[0]


def _inspection(row: Sequence[Any]) -> Inspection:
    inspection_id, vehicle_id, inspected_at, inspector, odometer_km, condition, *rest = row
    told, (note, photos, recorded_by, recorded_at) = rest[: len(FLAGS)], rest[len(FLAGS) :]
    flags = tuple(flag for flag, is_told in zip(FLAGS, told, strict=True) if is_told)
    return Inspection(
        inspection_id, vehicle_id, inspected_at, inspector, odometer_km, condition, flags, note,
        tuple(photos), recorded_by, recorded_at,
    )  # fmt: skip
