"""SQL of idempotency keys."""

from __future__ import annotations

from typing import Any

from psycopg.types.json import Jsonb

from core.db.pool import Connection

KEPT_H = 48


def begin(conn: Connection, *, actor: str, key: str, operation: str, fingerprint: bytes) -> bool:
    """Claim a key; false if it was used before. Waits for a twin that is being done right now."""
    conn.execute(
        "DELETE FROM idempotency_key WHERE created_at < now() - make_interval(hours => %s)"
        " AND actor = %s AND key = %s",
        (KEPT_H, actor, key),
    )
    inserted = conn.execute(
        "INSERT INTO idempotency_key (actor, key, operation, fingerprint) VALUES (%s, %s, %s, %s)"
        " ON CONFLICT DO NOTHING RETURNING 1",
        (actor, key, operation, fingerprint),
    ).fetchone()
    return inserted is not None


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
