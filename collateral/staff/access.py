"""Who is asking: tokens, sessions and sign-in links turned into a principal. Secrets are told once."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Literal

from collateral.domain import Role
from collateral.org.tree import HEAD, check_unit
from collateral.staff import store
from collateral.staff.secrets import fingerprint, new_secret
from core.errors import Rejected

if TYPE_CHECKING:
    from core.db.pool import Connection

SESSION_LIFETIME = timedelta(hours=12)
LINK_LIFETIME = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class Principal:
    """Whoever asks. ``actor`` goes into every log: ``user:anna``, ``token:3:scoring``, ``link:recovery``."""

    kind: Literal["user", "token", "link"]
    actor: str
    name: str
    roles: frozenset[Role]
    org_id: str
    user_id: int | None = None
    csrf_secret: str | None = None


def parse_role(text: str) -> Role:
    """Return the role of this name.

    Raises:
        Rejected: there is none.
    """
    try:
        return Role(text)
    except ValueError as exc:
        raise Rejected(f"Role: expected one of {', '.join(Role)}, was {text!r}", code="bad_role") from exc


def create_token(
    conn: Connection, role: str, *, org_id: str = HEAD, name: str = "", lifetime: timedelta | None = None
) -> str:
    """Return a new API token for a role within a branch; without a lifetime it ends when revoked.

    Raises:
        Rejected: no such role, or a lifetime that is not positive.
        NotFound: no such branch.
    """
    wanted = parse_role(role)
    check_unit(conn, org_id)
    if lifetime is not None and lifetime <= timedelta(0):
        raise Rejected(f"Token: expected a positive lifetime, was {lifetime}", code="bad_lifetime")
    token = new_secret("pwt")
    # Four eyes tell people by name (persons.py): two tokens that nobody named are not one person.
    named = name or f"{wanted.value}-{secrets.token_hex(4)}"
    store.insert_token(conn, fingerprint(token), named, wanted.value, org_id, lifetime)
    return token


def principal_of_token(conn: Connection, token: str) -> Principal | None:
    """Return who a token is, None when it is unknown, expired or revoked."""
    row = store.live_token(conn, fingerprint(token))
    if row is None:
        return None
    return Principal(
        "token", f"token:{row.token_id}:{row.name}", row.name, frozenset({Role(row.role)}), row.org_id
    )


def open_session(conn: Connection, user: store.User, *, lifetime: timedelta = SESSION_LIFETIME) -> str:
    """Return the cookie value of a new session of a user who has just signed in."""
    cookie = new_secret("pws")
    store.insert_session(
        conn, fingerprint(cookie), secrets.token_urlsafe(32), user.org_id, lifetime, user_id=user.user_id
    )
    return cookie


def principal_of_session(conn: Connection, cookie: str) -> Principal | None:
    """Return who a session is, None when it has ended or its user is disabled."""
    row = store.live_session(conn, fingerprint(cookie))
    if row is None:
        return None
    user_id, login, name, roles, org_id, csrf_secret = row
    held = frozenset(Role(role) for role in roles)
    if user_id is None:
        role = next(iter(held))
        return Principal("link", f"link:{role}", role.value, held, org_id, csrf_secret=csrf_secret)
    return Principal("user", f"user:{login}", name, held, org_id, user_id, csrf_secret)


def close_session(conn: Connection, cookie: str) -> bool:
    """End a session; false when it had ended."""
    return store.end_session(conn, fingerprint(cookie))


def create_sign_in_link(
    conn: Connection, role: str, *, org_id: str = HEAD, lifetime: timedelta = LINK_LIFETIME
) -> str:
    """Return the secret of a link that signs one person in, once. The API takes it from loopback only.

    Raises:
        Rejected: no such role. NotFound: no such branch.
    """
    wanted = parse_role(role)
    check_unit(conn, org_id)
    link = new_secret("pwl")
    store.insert_link(conn, fingerprint(link), wanted.value, org_id, lifetime)
    return link


def redeem_sign_in_link(conn: Connection, link: str, *, lifetime: timedelta = SESSION_LIFETIME) -> str | None:
    """Use a link up and return the cookie value of its session; None when it is used, old or unknown."""
    granted = store.use_link(conn, fingerprint(link))
    if granted is None:
        return None
    role, org_id = granted
    cookie = new_secret("pws")
    store.insert_session(conn, fingerprint(cookie), secrets.token_urlsafe(32), org_id, lifetime, role=role)
    return cookie
