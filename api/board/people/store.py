"""SQL of people: a party is visible to the branches of the vehicles it pledged or borrowed on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from psycopg.rows import class_row

if TYPE_CHECKING:
    from core.db.pool import Connection


@dataclass(frozen=True, slots=True)
class PartyRow:
    """A party under a pseudonym, with the vehicles it pledged and the loans it owes."""

    party_id: str
    alias: str
    kind: str
    vehicle_ids: list[str]
    loan_ids: list[str]


_TIES = """
    SELECT v.pledgor_id AS party_id, v.vehicle_id, NULL AS loan_id, v.org_id FROM vehicle v
    WHERE v.pledgor_id IS NOT NULL
    UNION ALL
    SELECT l.pledgor_id, l.vehicle_id, NULL, v.org_id FROM loan l JOIN vehicle v USING (vehicle_id)
    WHERE l.pledgor_id IS NOT NULL
    UNION ALL
    SELECT l.borrower_id, NULL, l.loan_id, v.org_id FROM loan l JOIN vehicle v USING (vehicle_id)
    WHERE l.borrower_id IS NOT NULL
"""


def parties(
    conn: Connection,
    org_ids: Sequence[str],
    *,
    party_ids: Sequence[str] | None,
    after: str | None,
    limit: int,
) -> list[PartyRow]:
    """Return the parties tied to vehicles of these branches, by id."""
    with conn.cursor(row_factory=class_row(PartyRow)) as cur:
        return cur.execute(
            f"SELECT p.party_id, p.alias, p.kind,"
            " coalesce(array_agg(DISTINCT t.vehicle_id) FILTER (WHERE t.vehicle_id IS NOT NULL), '{}')"
            "  AS vehicle_ids,"
            " coalesce(array_agg(DISTINCT t.loan_id) FILTER (WHERE t.loan_id IS NOT NULL), '{}') AS loan_ids"
            f" FROM party p JOIN ({_TIES}) t USING (party_id) WHERE t.org_id = ANY(%(orgs)s)"
            " AND (%(ids)s::text[] IS NULL OR p.party_id = ANY(%(ids)s))"
            " AND (%(after)s::text IS NULL OR p.party_id > %(after)s)"
            " GROUP BY p.party_id ORDER BY p.party_id LIMIT %(limit)s",
            {
                "orgs": list(org_ids),
                "ids": None if party_ids is None else list(party_ids),
                "after": after,
                "limit": limit,
            },
        ).fetchall()


def party_visible(conn: Connection, party_id: str, org_ids: Sequence[str]) -> bool:
    """Tell whether a party is tied to a vehicle of these branches."""
    row = conn.execute(
        f"SELECT EXISTS (SELECT FROM ({_TIES}) t WHERE party_id = %s AND org_id = ANY(%s))",
        (party_id, list(org_ids)),
    ).fetchone()
    return bool(row and row[0])


def parties_of_vehicle(conn: Connection, vehicle_id: str) -> list[tuple[str, str, list[str]]]:
    """Return (party, alias, parts) of a vehicle, pledgors first; who pledged and borrowed is one party."""
    rows = conn.execute(
        "SELECT p.party_id, p.alias, array_agg(DISTINCT t.part ORDER BY t.part DESC) AS parts FROM ("
        " SELECT pledgor_id AS party_id, 'pledgor' AS part FROM vehicle WHERE vehicle_id = %(vehicle)s"
        " UNION SELECT pledgor_id, 'pledgor' FROM loan WHERE vehicle_id = %(vehicle)s"
        " UNION SELECT borrower_id, 'borrower' FROM loan WHERE vehicle_id = %(vehicle)s) t"
        " JOIN party p USING (party_id) GROUP BY p.party_id ORDER BY max(t.part) DESC, p.party_id",
        {"vehicle": vehicle_id},
    ).fetchall()
    return [(row[0], row[1], row[2]) for row in rows]
