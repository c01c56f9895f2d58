"""SQL of the view log."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from psycopg.rows import class_row

from core.db.pool import Connection


@dataclass(frozen=True, slots=True)
class View:
    """One read of locations."""

    view_id: int
    at: datetime
    actor: str
    purpose: str
    resource: str
    vehicle_ids: list[str]
    org_ids: list[str]
    range_from: datetime | None
    range_to: datetime | None
    ip: str


def record(
    conn: Connection,
    *,
    actor: str,
    purpose: str,
    resource: str,
    ip: str,
    vehicle_ids: Sequence[str] = (),
    org_ids: Sequence[str] = (),
    range_from: datetime | None = None,
    range_to: datetime | None = None,
) -> None:
    """Write one row; in the transaction of the read, so that nothing is shown unlogged."""
    conn.execute(
        "INSERT INTO view_log (actor, purpose, resource, vehicle_ids, org_ids, range_from, range_to, ip) "
        "VALUES (%s, %s, %s, %s, %s, %s, %s, %s)",
        (actor, purpose, resource, list(vehicle_ids), list(org_ids), range_from, range_to, ip),
    )


def page(
    conn: Connection,
    *,
    visible_to: Sequence[str],
    vehicle_id: str | None,
    vehicle_org: str | None,
    actor: str | None,
    before: int | None,
    limit: int,
) -> list[View]:
    """Return views, newest first; those of a vehicle include live views of its whole branch.

    Somebody of a branch sees the views that touched a vehicle of that branch.
    """
    with conn.cursor(row_factory=class_row(View)) as cur:
        return cur.execute(
            "SELECT * FROM view_log"
            " WHERE (%(vehicle)s::text IS NULL OR vehicle_ids @> ARRAY[%(vehicle)s::text]"
            "  OR %(org)s::text = ANY (org_ids))"
            " AND (org_ids && %(orgs)s::text[] OR cardinality(vehicle_ids) = 0 AND cardinality(org_ids) = 0"
            "  OR EXISTS (SELECT FROM vehicle v WHERE v.vehicle_id = ANY (view_log.vehicle_ids)"
            "             AND v.org_id = ANY (%(orgs)s::text[])))"
            " AND (%(actor)s::text IS NULL OR actor = %(actor)s)"
            " AND (%(before)s::bigint IS NULL OR view_id < %(before)s)"
            " ORDER BY view_id DESC LIMIT %(limit)s",
            {
                "orgs": list(visible_to),
                "vehicle": vehicle_id,
                "org": vehicle_org,
                "actor": actor,
                "before": before,
                "limit": limit,
            },
        ).fetchall()
