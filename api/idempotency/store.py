"""SQL of idempotency keys."""

from __future__ import annotations

from typing import Any

from psycopg.types.json import Jsonb

from core.db.pool import Connection

KEPT_H = 48


def begin(
    conn: Connection, *, actor: str, key: str, operation: str, fingerprint: bytes, kept_h: int = KEPT_H
) -> bool:
    """Claim a key; false if it was used before. Waits for a twin that is being done right now."""
    conn.execute(
        "DELETE FROM idempotency_key WHERE created_at < now() - make_interval(hours => %s)"
        " AND actor = %s AND key = %s",
        (kept_h, actor, key),
    )
    inserted = conn.execute(
        "INSERT INTO idempotency_key (actor, key, operation, fingerprint) VALUES (%s, %s, %s, %s)"
        " ON CONFLICT DO NOTHING RETURNING 1",
        (actor, key, operation, fingerprint),
    ).fetchone()
    return inserted is not None


def wait_at_most(conn: Connection, wait_ms: int) -> None:
    """Bound how long this transaction's next statements wait for a lock; 0: no bound."""
    conn.execute("SELECT set_config('lock_timeout', %s, true)", (f"{wait_ms}ms",))


def remembered(conn: Connection, *, actor: str, key: str) -> tuple[str, bytes, Any] | None:
    """Return operation, fingerprint and answer of a used key."""
    return conn.execute(
        "SELECT operation, fingerprint, response FROM idempotency_key WHERE actor = %s AND key = %s",
        (actor, key),
    ).fetchone()


def remember(conn: Connection, *, actor: str, key: str, response: Any) -> None:
    """Keep the answer beside the key."""
    conn.execute(
        "UPDATE idempotency_key SET response = %s WHERE actor = %s AND key = %s",
        (Jsonb(response), actor, key),
    )
