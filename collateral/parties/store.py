"""SQL of parties."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from collateral.domain import Party, UpsertCounts
from collateral.records import as_json, counted

if TYPE_CHECKING:
    from core.db.pool import Connection


def upsert_parties(conn: Connection, parties: Sequence[Party]) -> UpsertCounts:
    """Write parties; ids must differ."""
    if not parties:
        return UpsertCounts()
    written = conn.execute(
        "INSERT INTO party AS p (party_id, kind, alias)"
        " SELECT r.party_id, r.kind, r.alias"
        " FROM jsonb_to_recordset(%s::jsonb) AS r(party_id text, kind text, alias text) ORDER BY r.party_id"
        " ON CONFLICT (party_id) DO UPDATE SET kind = EXCLUDED.kind, alias = EXCLUDED.alias"
        " WHERE (p.kind, p.alias) IS DISTINCT FROM (EXCLUDED.kind, EXCLUDED.alias) RETURNING (xmax = 0)",
        (as_json(parties),),
    ).fetchall()
    return counted(len(parties), written)


def add_missing_parties(conn: Connection, party_ids: Sequence[str]) -> int:
    """Register parties that a loan names before their own details came; the id is the alias."""
    done = conn.execute(
        "INSERT INTO party (party_id, alias) SELECT DISTINCT id, id FROM unnest(%s::text[]) AS id"
        " ON CONFLICT DO NOTHING",
        (list(party_ids),),
    )
    return done.rowcount


def get_party(conn: Connection, party_id: str) -> Party | None:
    """Return one party."""
    row = conn.execute("SELECT party_id, alias, kind FROM party WHERE party_id = %s", (party_id,)).fetchone()
    return Party(*row) if row else None


def set_aliases(conn: Connection, parties: Sequence[Party]) -> int:
    """Set the aliases of registered parties; returns how many changed."""
    done = conn.execute(
        "UPDATE party p SET alias = r.alias FROM unnest(%s::text[], %s::text[]) AS r(party_id, alias)"
        " WHERE p.party_id = r.party_id AND p.alias <> r.alias",
        ([party.party_id for party in parties], [party.alias for party in parties]),
    )
    return done.rowcount
