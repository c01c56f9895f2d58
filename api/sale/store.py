"""SQL of what the sale shows from the tables of other rooms, and of its own lists."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import TYPE_CHECKING

from psycopg.rows import class_row

if TYPE_CHECKING:
    from datetime import date
    from uuid import UUID

    from core.db.pool import Connection


@dataclass(frozen=True, slots=True)
class VehicleRow:
    """What a buyer may know of a vehicle."""

    vehicle_id: str
    make: str | None
    model: str | None
    model_year: int | None
    colour: str | None
    first_registration: date | None
    use_character: str | None
    emission_stage: str | None


def vehicles(conn: Connection, vehicle_ids: Collection[str]) -> dict[str, VehicleRow]:
    """Return vehicles by id."""
    with conn.cursor(row_factory=class_row(VehicleRow)) as cursor:
        rows = cursor.execute(
            "SELECT vehicle_id, make, model, model_year, colour, first_registration, use_character,"
            " emission_stage FROM vehicle WHERE vehicle_id = ANY(%s)",
            (list(vehicle_ids),),
        ).fetchall()
    return {row.vehicle_id: row for row in rows}


def org_of_vehicle(conn: Connection, vehicle_id: str) -> str | None:
    """Return the branch that a vehicle belongs to."""
    row = conn.execute("SELECT org_id FROM vehicle WHERE vehicle_id = %s", (vehicle_id,)).fetchone()
    return row[0] if row else None


def codes(conn: Connection, registration_ids: Collection[UUID]) -> dict[UUID, str]:
    """Return the public codes of registrations: leaders are shown by these and nothing else."""
    rows = conn.execute(
        "SELECT registration_id, code FROM registration WHERE registration_id = ANY(%s)",
        (list(registration_ids),),
    ).fetchall()
    return dict(rows)


def wallets(conn: Connection, bidder_id: int) -> list[tuple[str, int]]:
    """Return (currency, free money) of a bidder's wallets, which are credit balances."""
    return conn.execute(
        "SELECT a.currency, -coalesce(sum(p.amount_minor), 0)::bigint FROM ledger_account a"
        " LEFT JOIN ledger_posting p USING (account_id) WHERE a.kind = 'bidder_wallet' AND a.owner = %s"
        " GROUP BY a.currency ORDER BY a.currency",
        (f"bidder:{bidder_id}",),
    ).fetchall()
