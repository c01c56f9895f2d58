"""The broker's password file: written whole, in one step, by one writer at a time."""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from core.errors import Rejected
from pledgewatch.embedded.state import write_private

INGEST_USER = "ingest"
GATEWAY_USER = "gateway"
SERVICE_USERS = (INGEST_USER, GATEWAY_USER)
"""Accounts of our own processes, as deploy/mosquitto/acl names them."""
# `+`, `#`, `/` would widen the ACL pattern that a user name is put into; `:` ends it in the file.
USERNAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")

Account = tuple[str, str]


def check_username(username: str) -> None:
    """Refuse a name that could reach another device's topics.

    Raises:
        Rejected: a character outside letters, digits, `.`, `_`, `-`, or longer than 64.
    """
    if not USERNAME.fullmatch(username):
        raise Rejected(
            "Broker user: expected 1-64 letters, digits, '.', '_' or '-', beginning with a letter or digit, "
            f"was {username!r}",
            code="bad_broker_username",
        )


def write_password_file(path: Path, accounts: Iterable[Account], owner: tuple[int, int] | None = None) -> int:
    """Replace the password file with `(username, hash)` pairs; return how many."""
    lines: dict[str, str] = {}
    for username, password_hash in accounts:
        check_username(username)
        if not password_hash.startswith("$7$") or "\n" in password_hash:
            raise Rejected(
                f"Broker user {username}: expected a $7$ hash (core.mqtt_passwords)", code="bad_broker_hash"
            )
        if username in lines:
            raise Rejected(
                f"Broker user {username}: expected once, was given twice", code="duplicate_broker_user"
            )
        lines[username] = f"{username}:{password_hash}\n"
    write_private(path, "".join(lines.values()), owner=owner)
    return len(lines)


def read_password_file(path: Path) -> list[Account]:
    """Return the `(username, hash)` pairs of a password file; empty when there is none."""
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return []
    pairs = (line.partition(":") for line in text.splitlines() if line and not line.startswith("#"))
    return [(username, password_hash) for username, _, password_hash in pairs]


@contextlib.contextmanager
def credentials_lock(folder: Path) -> Iterator[None]:
    """Let one process at a time read the registry and rewrite the file; else an older list could win."""
    descriptor = os.open(folder / "passwords.lock", os.O_CREAT | os.O_RDWR, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
