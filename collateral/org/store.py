"""SQL of branches."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from core.db.pool import Connection


@dataclass(frozen=True, slots=True)
class OrgUnit:
    """A branch; the head office has no parent."""

    org_id: str
    parent_id: str | None
    name: str


def upsert_unit(conn: Connection, unit: OrgUnit) -> None:
    """Write a branch."""
    conn.execute(
        "INSERT INTO org_unit (org_id, parent_id, name) VALUES (%s, %s, %s)"
        " ON CONFLICT (org_id) DO UPDATE SET parent_id = EXCLUDED.parent_id, name = EXCLUDED.name",
        (unit.org_id, unit.parent_id, unit.name),
    )


def get_unit(conn: Connection, org_id: str) -> OrgUnit | None:
    """Return one branch."""
    row = conn.execute("SELECT org_id, parent_id, name FROM org_unit WHERE org_id = %s", (org_id,)).fetchone()
    return OrgUnit(*row) if row else None


def list_units(conn: Connection) -> list[OrgUnit]:
    """Return every branch."""
    return [
        OrgUnit(*row) for row in conn.execute("SELECT org_id, parent_id, name FROM org_unit ORDER BY org_id")
    ]


def subtree(conn: Connection, org_id: str) -> list[str]:
    """Return a branch and everything below it: what its staff may see."""
    rows = conn.execute(
        "WITH RECURSIVE below AS ("
        " SELECT org_id FROM org_unit WHERE org_id = %s"
        " UNION SELECT u.org_id FROM org_unit u JOIN below b ON u.parent_id = b.org_id)"
        " SELECT org_id FROM below ORDER BY org_id",
        (org_id,),
    )
    return [row[0] for row in rows]


def lock_tree(conn: Connection) -> None:
    """Let one transaction at a time reshape the tree; two moves at once could close a circle."""
    conn.execute("LOCK TABLE org_unit IN SHARE ROW EXCLUSIVE MODE")
