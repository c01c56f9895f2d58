"""Links for a crew's phone: 256 random bits, an end, a switch, and a log of every use."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from alerts.cases import store as cases
from alerts.recovery.store import links as store
from collateral.staff.secrets import fingerprint, new_secret
from core.errors import Conflict, NotFound, Rejected

if TYPE_CHECKING:
    from uuid import UUID

    from alerts.recovery.domain import CrewLink
    from core.db.pool import Connection

LONGEST_H = 72
LINK_STATES = frozenset({"dispatched", "recovered"})
"""While a crew has something to do. Before there is no ground to show anybody a place, after no need."""


def create_link(
    conn: Connection, case_id: UUID, actor: str, crew: str, expires_in_hours: int
) -> tuple[CrewLink, str]:
    """Return a link and its token, which is told this once.

    Raises:
        Conflict: no crew is out (``bad_state``). Rejected: no name, or another lifetime than 1-72 hours.
    """
    if not crew.strip():
        raise Rejected("Expected the name of the crew, was empty", code="crew_missing")
    if not 1 <= expires_in_hours <= LONGEST_H:
        raise Rejected(f"Expected 1-{LONGEST_H} hours, was {expires_in_hours}", code="bad_lifetime")
    case = cases.get_case(conn, case_id, lock=True)
    if case.state not in LINK_STATES:
        raise Conflict(
            f"Expected a case that is {' or '.join(sorted(LINK_STATES))}, was {case.state}", code="bad_state"
        )
    token = new_secret("pwc")
    link_id = store.insert_link(
        conn, fingerprint(token), case_id, crew.strip(), actor, timedelta(hours=expires_in_hours)
    )
    cases.add_entry(
        conn, case_id, actor, "crew_link", crew.strip(), {"link_id": link_id, "hours": expires_in_hours}
    )
    link = store.get_link(conn, case_id, link_id)
    assert link is not None  # noqa: S101 - written above
    return link, token


def revoke_link(conn: Connection, case_id: UUID, link_id: int, actor: str) -> CrewLink:
    """End a link at once; again is nothing.

    The case's row is held, as by every act of a crew: nobody acts on a link while it is being ended.

    Raises:
        NotFound: the case has no such link.
    """
    cases.get_case(conn, case_id, lock=True)
    if store.get_link(conn, case_id, link_id) is None:
        raise NotFound(f"Expected a link of this case, there is none with id {link_id}")
    if store.revoke_link(conn, link_id, actor):
        cases.add_entry(conn, case_id, actor, "crew_link_revoked", "", {"link_id": link_id})
    link = store.get_link(conn, case_id, link_id)
    assert link is not None  # noqa: S101 - found above
    return link


def find_link(conn: Connection, token: str) -> CrewLink | None:
    """Return the link of a token, usable or not; None when nobody was given this token."""
    return store.link_of_token(conn, fingerprint(token))


def is_usable(link: CrewLink, case_state: str) -> bool:
    """Tell whether a crew may still see and do something with a link."""
    return link.revoked_at is None and not link.expired and case_state in LINK_STATES
