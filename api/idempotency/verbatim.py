"""Bids: the answer of a key is kept to the letter, a refusal by the rules as well as an acceptance.

``Once`` keeps what a command made; here the decision itself is what must not be taken twice. A twin that
is being decided right now is told so instead of holding a second connection (IETF Idempotency-Key draft).
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass

import psycopg

from api.idempotency import store
from core.db.pool import Connection
from core.errors import Conflict, Rejected

KEPT_H = 7 * 24
"""Longer than any quarrel about the payment of a bid begins after."""
TWIN_WAIT_MS = 500
KEPT_STATUSES = frozenset({201, 409, 412, 422})
"""What the rules decided. Who was not eligible yet, or met a busy server, asks again with the same key."""


class KeyReuseMismatch(Rejected):
    """A key came back with another body."""

    status = 422
    default_code = "key_reuse_mismatch"


@dataclass(frozen=True, slots=True)
class Answered:
    """Status and JSON text of an answer; ``replayed`` when it is the one given before."""

    status: int
    text: str
    replayed: bool = False


def fingerprint(method: str, path: str, body: bytes) -> bytes:
    """Return what makes two requests the same."""
    return hashlib.sha256(f"{method} {path}\n".encode() + body).digest()


def decide_once(
    conn: Connection,
    *,
    actor: str,
    key: str,
    operation: str,
    print_: bytes,
    decide: Callable[[], Answered],
) -> Answered:
    """Decide in the caller's transaction, or return the answer that the key already has.

    An answer that is not one of the rules leaves nothing behind: the transaction is rolled back.

    Raises:
        KeyReuseMismatch: the key belongs to another request.
        Conflict: a twin is being decided right now (``request_in_progress``).
    """
    try:
        store.wait_at_most(conn, TWIN_WAIT_MS)
        claimed = store.begin(
            conn, actor=actor, key=key, operation=operation, fingerprint=print_, kept_h=KEPT_H
        )
        store.wait_at_most(conn, 0)
    except psycopg.errors.LockNotAvailable as exc:
        raise Conflict(
            "Expected an Idempotency-Key that is free, was one whose request is being decided: ask again",
            code="request_in_progress", retry_after_s=1,
        ) from exc  # fmt: skip
    if not claimed:
        return _repeated(conn, actor, key, operation, print_)
    answered = decide()
    if answered.status in KEPT_STATUSES:
        store.remember(
            conn, actor=actor, key=key, response={"status": answered.status, "text": answered.text}
        )
    else:
        conn.rollback()
    return answered


def _repeated(conn: Connection, actor: str, key: str, operation: str, print_: bytes) -> Answered:
    found = store.remembered(conn, actor=actor, key=key)
    if found is None or found[0] != operation or bytes(found[1]) != print_:
        raise KeyReuseMismatch("Expected a new Idempotency-Key, was one that another request used")
    return Answered(found[2]["status"], found[2]["text"], replayed=True)
