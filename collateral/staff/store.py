"""SQL of people, tokens, sessions and sign-in links. Their times are database times."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from core.db.pool import Connection


@dataclass(frozen=True, slots=True)
class User:
    """A person with a password; the hash is read by the sign-in alone."""

    user_id: int
    login: str
    display_name: str
    roles: tuple[str, ...]
    org_id: str
    disabled: bool


@dataclass(frozen=True, slots=True)
class TokenRow:
    """A token as listed: never the token."""

    token_id: int
    name: str
    role: str
    org_id: str
    created_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None


_USER = "user_id, login, display_name, roles, org_id, disabled_at IS NOT NULL"


def _user(row: Sequence[object]) -> User:
    user_id, login, display_name, roles, org_id, disabled = row
    assert isinstance(user_id, int)  # noqa: S101 - an identity column
    assert isinstance(roles, list)  # noqa: S101 - a text[] column
    return User(user_id, str(login), str(display_name), tuple(roles), str(org_id), bool(disabled))


def insert_user(
    conn: Connection, login: str, display_name: str, password_hash: str, roles: Sequence[str], org_id: str
) -> int | None:
    """Write a user; None when the login is taken."""
    row = conn.execute(
        "INSERT INTO user_account (login, display_name, password_hash, roles, org_id)"
        " VALUES (%s, %s, %s, %s, %s) ON CONFLICT (login) DO NOTHING RETURNING user_id",
        (login, display_name, password_hash, list(roles), org_id),
    ).fetchone()
    return int(row[0]) if row else None


def user_and_hash(conn: Connection, login: str) -> tuple[User, str] | None:
    """Return a user with the password's hash, for the sign-in."""
    row = conn.execute(
        f"SELECT {_USER}, password_hash FROM user_account WHERE login = %s", (login,)
    ).fetchone()
    return (_user(row[:-1]), row[-1]) if row else None


def set_password_hash(conn: Connection, user_id: int, password_hash: str) -> bool:
    """Replace a password."""
    done = conn.execute(
        "UPDATE user_account SET password_hash = %s WHERE user_id = %s", (password_hash, user_id)
    )
    return done.rowcount == 1


def set_disabled(conn: Connection, user_id: int, *, disabled: bool) -> bool:
    """Disable or enable a user; false when that was so already."""
    done = conn.execute(
        "UPDATE user_account SET disabled_at = CASE WHEN %(disabled)s THEN now() END"
        " WHERE user_id = %(user_id)s AND (disabled_at IS NOT NULL) <> %(disabled)s",
        {"disabled": disabled, "user_id": user_id},
    )
    return done.rowcount == 1


def insert_token(
    conn: Connection, token_sha256: bytes, name: str, role: str, org_id: str, lifetime: timedelta | None
) -> int:
    """Write a token's hash; returns the token's id."""
    row = conn.execute(
        "INSERT INTO api_token (token_sha256, name, role, org_id, expires_at)"
        " VALUES (%s, %s, %s, %s, now() + %s::interval) RETURNING token_id",
        (token_sha256, name, role, org_id, lifetime),
    ).fetchone()
    assert row is not None  # noqa: S101 - RETURNING of an insert has a row
    return int(row[0])


def live_token(conn: Connection, token_sha256: bytes) -> TokenRow | None:
    """Return the token of a hash when it is neither revoked nor expired."""
    row = conn.execute(
        "SELECT token_id, name, role, org_id, created_at, expires_at, revoked_at FROM api_token"
        " WHERE token_sha256 = %s AND revoked_at IS NULL AND (expires_at IS NULL OR expires_at > now())",
        (token_sha256,),
    ).fetchone()
    return TokenRow(*row) if row else None


def list_tokens(conn: Connection) -> list[TokenRow]:
    """Return every token, revoked ones too."""
    rows = conn.execute(
        "SELECT token_id, name, role, org_id, created_at, expires_at, revoked_at"
        " FROM api_token ORDER BY token_id"
    )
    return [TokenRow(*row) for row in rows]


def revoke_token(conn: Connection, token_id: int) -> bool:
    """End a token; false when it was ended."""
    done = conn.execute(
        "UPDATE api_token SET revoked_at = now() WHERE token_id = %s AND revoked_at IS NULL", (token_id,)
    )
    return done.rowcount == 1


def insert_session(
    conn: Connection,
    session_sha256: bytes,
    csrf_secret: str,
    org_id: str,
    lifetime: timedelta,
    *,
    user_id: int | None = None,
    role: str | None = None,
) -> None:
    """Write a session of a user, or of a role alone."""
    conn.execute(
        "INSERT INTO user_session (session_sha256, user_id, role, org_id, csrf_secret, expires_at)"
        " VALUES (%s, %s, %s, %s, %s, now() + %s::interval)",
        (session_sha256, user_id, role, org_id, csrf_secret, lifetime),
    )


def live_session(
    conn: Connection, session_sha256: bytes
) -> tuple[int | None, str | None, str, list[str], str, str] | None:
    """Return (user id, login, display name, roles, branch, csrf secret) of a session that holds.

    A disabled user's sessions end at once; roles and branch of a user are today's, not the sign-in's.
    """
    row = conn.execute(
        "SELECT s.user_id, u.login, coalesce(u.display_name, ''), coalesce(u.roles, ARRAY[s.role]),"
        " coalesce(u.org_id, s.org_id), s.csrf_secret"
        " FROM user_session s LEFT JOIN user_account u USING (user_id)"
        " WHERE s.session_sha256 = %s AND s.revoked_at IS NULL AND s.expires_at > now()"
        " AND u.disabled_at IS NULL",
        (session_sha256,),
    ).fetchone()
    return (row[0], row[1], row[2], row[3], row[4], row[5]) if row else None


def end_session(conn: Connection, session_sha256: bytes) -> bool:
    """End one session."""
    done = conn.execute(
        "UPDATE user_session SET revoked_at = now() WHERE session_sha256 = %s AND revoked_at IS NULL",
        (session_sha256,),
    )
    return done.rowcount == 1


def end_sessions_of(conn: Connection, user_id: int) -> int:
    """End every session of a user."""
    return conn.execute(
        "UPDATE user_session SET revoked_at = now() WHERE user_id = %s AND revoked_at IS NULL", (user_id,)
    ).rowcount


def prune_sessions(conn: Connection) -> int:
    """Delete sessions and links that ended a month ago."""
    sessions = conn.execute("DELETE FROM user_session WHERE expires_at < now() - interval '30 days'").rowcount
    return (
        sessions
        + conn.execute("DELETE FROM sign_in_link WHERE expires_at < now() - interval '30 days'").rowcount
    )


def insert_link(conn: Connection, link_sha256: bytes, role: str, org_id: str, lifetime: timedelta) -> None:
    """Write a sign-in link's hash."""
    conn.execute(
        "INSERT INTO sign_in_link (link_sha256, role, org_id, expires_at)"
        " VALUES (%s, %s, %s, now() + %s::interval)",
        (link_sha256, role, org_id, lifetime),
    )


def use_link(conn: Connection, link_sha256: bytes) -> tuple[str, str] | None:
    """Use a link up and return its (role, branch); None when used, expired or unknown.

    One statement, so that of two clicks at the same moment one wins.
    """
    row = conn.execute(
        "UPDATE sign_in_link SET used_at = now() WHERE link_sha256 = %s AND used_at IS NULL"
        " AND expires_at > now()"
        " RETURNING role, org_id",
        (link_sha256,),
    ).fetchone()
    return (row[0], row[1]) if row else None
