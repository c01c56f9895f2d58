"""SQL of costs and claims."""

from __future__ import annotations

from dataclasses import asdict, fields
from typing import TYPE_CHECKING
from uuid import UUID

from psycopg.rows import class_row

from auction.settlement.domain import Cost, JuniorClaim, LenderClaim
from core.errors import NotFound

if TYPE_CHECKING:
    from core.db.pool import Connection

_COST = ", ".join(column.name for column in fields(Cost))
_LENDER = ", ".join(column.name for column in fields(LenderClaim))
_JUNIOR = ", ".join(column.name for column in fields(JuniorClaim))


def insert_cost(
    conn: Connection,
    case_id: UUID,
    kind: str,
    amount_minor: int,
    currency: str,
    receipt: str,
    state: str,
    actor: str,
) -> Cost | None:
    """Write a line of costs; None when the receipt was booked for this kind."""
    with conn.cursor(row_factory=class_row(Cost)) as cursor:
        return cursor.execute(
            "INSERT INTO disposal_cost (case_id, kind, amount_minor, currency, receipt, state, recorded_by)"
            " VALUES (%s, %s, %s, %s, %s, %s, %s) ON CONFLICT (case_id, kind, receipt) DO NOTHING"
            f" RETURNING {_COST}",
            (case_id, kind, amount_minor, currency, receipt, state, actor),
        ).fetchone()


def get_cost(conn: Connection, cost_id: UUID, *, lock: bool = False) -> Cost:
    """Return a line of costs.

    Raises:
        NotFound: there is none with this id.
    """
    with conn.cursor(row_factory=class_row(Cost)) as cursor:
        found = cursor.execute(
            f"SELECT {_COST} FROM disposal_cost WHERE cost_id = %s {'FOR UPDATE' if lock else ''}", (cost_id,)
        ).fetchone()
    if found is None:
        raise NotFound(f"Expected a line of costs, there is none with id {cost_id}", code="cost_not_found")
    return found


def cost_by_receipt(conn: Connection, case_id: UUID, kind: str, receipt: str) -> Cost | None:
    """Return the line of a receipt."""
    with conn.cursor(row_factory=class_row(Cost)) as cursor:
        return cursor.execute(
            f"SELECT {_COST} FROM disposal_cost WHERE case_id = %s AND kind = %s AND receipt = %s",
            (case_id, kind, receipt),
        ).fetchone()


def costs_of(conn: Connection, case_id: UUID) -> list[Cost]:
    """Return the lines of a case as they came."""
    with conn.cursor(row_factory=class_row(Cost)) as cursor:
        return cursor.execute(
            f"SELECT {_COST} FROM disposal_cost WHERE case_id = %s ORDER BY recorded_at, cost_id", (case_id,)
        ).fetchall()


def set_cost_state(conn: Connection, cost_id: UUID, state: str) -> None:
    """Accept or refuse a line."""
    conn.execute("UPDATE disposal_cost SET state = %s WHERE cost_id = %s", (state, cost_id))


def insert_lender_claim(conn: Connection, case_id: UUID, claim: LenderClaim, actor: str) -> None:
    """Append what the lender claims."""
    values = asdict(claim) | {"case_id": case_id, "recorded_by": actor}
    conn.execute(
        f"INSERT INTO lender_claim ({', '.join(values)})"
        f" VALUES ({', '.join(f'%({name})s' for name in values)})",
        values,
    )


def newest_lender_claim(conn: Connection, case_id: UUID) -> LenderClaim | None:
    """Return the claim that counts."""
    with conn.cursor(row_factory=class_row(LenderClaim)) as cursor:
        return cursor.execute(
            f"SELECT {_LENDER} FROM lender_claim WHERE case_id = %s ORDER BY claim_id DESC LIMIT 1",
            (case_id,),
        ).fetchone()


def insert_junior_claim(conn: Connection, case_id: UUID, claim: JuniorClaim, actor: str) -> bool:
    """Write a later-ranked claim; false when the rank is taken."""
    values = asdict(claim) | {"case_id": case_id, "recorded_by": actor}
    done = conn.execute(
        f"INSERT INTO junior_claim ({', '.join(values)})"
        f" VALUES ({', '.join(f'%({name})s' for name in values)})"
        " ON CONFLICT (case_id, rank) DO NOTHING",
        values,
    )
    return done.rowcount == 1


def junior_claims_of(conn: Connection, case_id: UUID) -> list[JuniorClaim]:
    """Return the later-ranked claims by rank."""
    with conn.cursor(row_factory=class_row(JuniorClaim)) as cursor:
        return cursor.execute(
            f"SELECT {_JUNIOR} FROM junior_claim WHERE case_id = %s ORDER BY rank", (case_id,)
        ).fetchall()
