"""People who sign in with a password (Argon2id)."""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable
from typing import TYPE_CHECKING

from pwdlib import PasswordHash
from pwdlib.hashers.argon2 import Argon2Hasher

from collateral.org.tree import HEAD, check_unit
from collateral.staff import store
from collateral.staff.access import parse_role
from core.errors import Conflict, NotFound, Rejected

if TYPE_CHECKING:
    from core.db.pool import Connection

SHORTEST_PASSWORD = 10
LONGEST_PASSWORD = 256
"""A longer text only costs hashing time, which an attacker would like to spend."""

_LOGIN = re.compile(r"[a-z0-9][a-z0-9._@-]{0,63}")
_hasher = PasswordHash((Argon2Hasher(),))


def create_user(
    conn: Connection,
    login: str,
    password: str,
    roles: Iterable[str],
    *,
    org_id: str = HEAD,
    display_name: str = "",
) -> int:
    """Register a person and return the user id.

    Raises:
        Rejected: a bad login, password or role. NotFound: no such branch. Conflict: the login is taken.
    """
    name = _check_login(login)
    check_password(password)
    wanted = sorted({parse_role(role).value for role in roles})
    if not wanted:
        raise Rejected("User: expected at least one role", code="bad_role")
    check_unit(conn, org_id)
    user_id = store.insert_user(conn, name, display_name or name, _hasher.hash(password), wanted, org_id)
    if user_id is None:
        raise Conflict(f"User {name}: the login is taken", code="login_taken")
    return user_id


def sign_in(conn: Connection, login: str, password: str) -> store.User | None:
    """Return the user when the password is right and the user not disabled.

    An unknown login costs as much time as a wrong password, so that answers do not tell who exists.
    """
    found = store.user_and_hash(conn, login.strip().lower())
    usable = len(password) <= LONGEST_PASSWORD
    right, renewed = _hasher.verify_and_update(
        password if usable else "", found[1] if found else _nobodys_hash()
    )
    if not (found and right and usable) or found[0].disabled:
        return None
    if renewed is not None:
        store.set_password_hash(conn, found[0].user_id, renewed)
    return found[0]


def change_password(conn: Connection, user_id: int, password: str) -> None:
    """Replace a password and end the user's sessions.

    Raises:
        Rejected: too short or too long. NotFound: no such user.
    """
    check_password(password)
    if not store.set_password_hash(conn, user_id, _hasher.hash(password)):
        raise NotFound(f"User {user_id}: not registered", code="user_not_found")
    store.end_sessions_of(conn, user_id)


def disable_user(conn: Connection, user_id: int) -> bool:
    """Shut a person out at once; false when that was so already."""
    store.end_sessions_of(conn, user_id)
    return store.set_disabled(conn, user_id, disabled=True)


def check_password(password: str) -> None:
    """Refuse a password that is too short, too long, or one character repeated.

    Raises:
        Rejected: with what was expected.
    """
    if not SHORTEST_PASSWORD <= len(password) <= LONGEST_PASSWORD or len(set(password)) < 4:
        raise Rejected(
            f"Password: expected {SHORTEST_PASSWORD}-{LONGEST_PASSWORD} characters, "
            "at least 4 different ones",
            code="weak_password",
        )


def _check_login(login: str) -> str:
    name = login.strip().lower()
    if not _LOGIN.fullmatch(name):
        raise Rejected(
            "Login: expected 1-64 of a-z, 0-9, '.', '_', '@', '-', beginning with a letter or digit, "
            f"was {login!r}",
            code="bad_login",
        )
    return name


@functools.cache
def _nobodys_hash() -> str:
    return _hasher.hash("nobody has this password")
