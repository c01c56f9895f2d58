"""SQL of the nightly work and of what sales brought."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import date, datetime

    from core.db.pool import Connection

_LIVE = "l.status NOT IN ('paid', 'written_off') AND l.balance_minor > 0"


def currencies(conn: Connection) -> list[str]:
    """Return the currencies in which anything is owed."""
    return [
        row[0] for row in conn.execute(f"SELECT DISTINCT l.currency FROM loan l WHERE {_LIVE} ORDER BY 1")
    ]


def unmarked_vehicles(
    conn: Connection,
    as_of: date,
    versions: Mapping[str, str],
    *,
    after: str,
    part: int,
    parts: int,
    limit: int,
) -> list[str]:
    """Return vehicles with a live loan that today's models have not valued, by id.

    ``versions``: currency -> model version (empty: none). ``part`` of ``parts`` splits by vehicle.
    """
    rows = conn.execute(
        "SELECT v.vehicle_id FROM vehicle v WHERE v.vehicle_id > %(after)s"
        " AND mod(hashtext(v.vehicle_id)::bigint + 2147483648, %(parts)s) = %(part)s"
        f" AND EXISTS (SELECT FROM loan l WHERE l.vehicle_id = v.vehicle_id AND {_LIVE})"
        " AND NOT EXISTS (SELECT FROM estimate e JOIN unnest(%(currencies)s::text[], %(versions)s::text[])"
        "  AS now_used(currency, version) ON e.currency = now_used.currency"
        "  AND e.model_version = now_used.version"
        "  WHERE e.vehicle_id = v.vehicle_id AND e.as_of = %(as_of)s AND e.cause = 'nightly')"
        " ORDER BY v.vehicle_id LIMIT %(limit)s",
        {
            "after": after, "parts": parts, "part": part, "currencies": list(versions),
            "versions": list(versions.values()), "as_of": as_of, "limit": limit,
        },
    ).fetchall()  # fmt: skip
    return [row[0] for row in rows]


def insert_outcome(
    conn: Connection,
    *,
    lot_id: str,
    case_id: str,
    vehicle_id: str,
    hammered_at: datetime,
    price_minor: int,
    currency: str,
    before: Sequence[tuple[int, tuple[int, int, date] | None]],
) -> None:
    """Write a sale against what was thought of it; a sale known already is left as it is."""
    for days, estimate in before:
        estimate_id, estimate_minor, as_of = estimate or (None, None, None)
        conn.execute(
            "INSERT INTO disposal_outcome (lot_id, days_before, case_id, vehicle_id, hammered_at,"
            " price_minor, currency, estimate_id, estimate_minor, as_of)"
            " VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s) ON CONFLICT DO NOTHING",
            (
                lot_id, days, case_id, vehicle_id, hammered_at, price_minor, currency, estimate_id,
                estimate_minor, as_of,
            ),
        )  # fmt: skip


def outcomes(
    conn: Connection, *, since: datetime | None = None
) -> list[tuple[str, int, str, datetime, int, str, int | None, date | None]]:
    """Return (lot, days before, vehicle, hammered, price, currency, estimate, its day), by time of sale."""
    return conn.execute(
        "SELECT lot_id, days_before, vehicle_id, hammered_at, price_minor, currency, estimate_minor, as_of"
        " FROM disposal_outcome WHERE hammered_at >= coalesce(%s, '-infinity'::timestamptz)"
        " ORDER BY hammered_at, lot_id, days_before",
        (since,),
    ).fetchall()
