"""Branches form one tree: every branch but the head office hangs below another, and never below itself."""

from __future__ import annotations

from typing import TYPE_CHECKING

from collateral.org import store
from collateral.org.store import OrgUnit
from core.errors import Conflict, NotFound, Rejected

if TYPE_CHECKING:
    from core.db.pool import Connection

HEAD = "head"


def save_unit(conn: Connection, org_id: str, name: str, *, parent_id: str = HEAD) -> OrgUnit:
    """Add, rename or move a branch.

    Raises:
        Rejected: an empty id or name.
        NotFound: the parent does not exist.
        Conflict: the branch would hang below itself (``org_circle``).
    """
    if not org_id.strip() or not name.strip():
        raise Rejected("Branch: expected an id and a name, was empty", code="bad_org_unit")
    store.lock_tree(conn)
    if org_id == HEAD:
        unit = OrgUnit(HEAD, None, name)
    else:
        check_unit(conn, parent_id)
        if parent_id in store.subtree(conn, org_id):
            raise Conflict(
                f"Branch {org_id}: cannot hang below {parent_id}, which is below it", code="org_circle"
            )
        unit = OrgUnit(org_id, parent_id, name)
    store.upsert_unit(conn, unit)
    return unit


def check_unit(conn: Connection, org_id: str) -> str:
    """Return the id of a branch that exists.

    Raises:
        NotFound: it does not.
    """
    if store.get_unit(conn, org_id) is None:
        raise NotFound(f"Branch {org_id}: not registered", code="org_unit_not_found")
    return org_id
