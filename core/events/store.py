"""SQL of domain events and of the cursors over append-only logs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from psycopg.types.json import Jsonb

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from core.db.pool import Connection


@dataclass(frozen=True, slots=True)
class DomainEvent:
    """One event; ``subject`` is the id of what it is about."""

    seq: int
    txid: str
    kind: str
    subject: str
    payload: dict[str, Any]
    at: datetime


@dataclass(frozen=True, slots=True)
class LogPosition:
    """How far a consumer has read: everything up to (txid, seq)."""

    txid: str
    seq: int


def emit(conn: Connection, kind: str, subject: str, payload: Mapping[str, Any] | None = None) -> None:
    """Write an event in the caller's transaction, so that it exists exactly if the change does."""
    conn.execute(
        "INSERT INTO domain_event (kind, subject, payload) VALUES (%s, %s, %s)",
        (kind, subject, Jsonb(dict(payload or {}))),
    )


def lock_position(conn: Connection, consumer: str) -> LogPosition:
    """Return a consumer's position and hold its row, so that two dispatchers never overlap."""
    conn.execute("INSERT INTO log_cursor (consumer) VALUES (%s) ON CONFLICT DO NOTHING", (consumer,))
    row = conn.execute(
        "SELECT txid::text, seq FROM log_cursor WHERE consumer = %s FOR UPDATE", (consumer,)
    ).fetchone()
    assert row is not None  # noqa: S101 - inserted by the statement above
    return LogPosition(row[0], row[1])


def save_position(conn: Connection, consumer: str, position: LogPosition) -> None:
    """Move a consumer's position forward."""
    conn.execute(
        "UPDATE log_cursor SET txid = %s::xid8, seq = %s WHERE consumer = %s",
        (position.txid, position.seq, consumer),
    )


def read_events(conn: Connection, after: LogPosition, limit: int) -> list[DomainEvent]:
    """Return the next events in commit-safe order.

    Rows of transactions that may still be running (txid >= pg_snapshot_xmin) wait: otherwise one
    that commits late would land behind the cursor and be lost.
    """
    rows = conn.execute(
        "SELECT seq, txid::text, kind, subject, payload, at FROM domain_event"
        " WHERE (txid, seq) > (%s::xid8, %s) AND txid < pg_snapshot_xmin(pg_current_snapshot())"
        " ORDER BY txid, seq LIMIT %s",
        (after.txid, after.seq, limit),
    ).fetchall()
    return [DomainEvent(*row) for row in rows]


def count_failure(conn: Connection, consumer: str, seq: int, error: str) -> int:
    """Record a failed handling and return how often it has failed."""
    row = conn.execute(
        "INSERT INTO event_failure (consumer, seq, error) VALUES (%s, %s, %s)"
        " ON CONFLICT (consumer, seq) DO UPDATE SET"
        " attempts = event_failure.attempts + 1, error = EXCLUDED.error, at = clock_timestamp()"
        " RETURNING attempts",
        (consumer, seq, error[:2000]),
    ).fetchone()
    assert row is not None  # noqa: S101 - RETURNING of an upsert always has a row
    attempts: int = row[0]
    return attempts
