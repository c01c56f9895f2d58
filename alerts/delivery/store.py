"""SQL of deliveries. A row is leased, sent without any open transaction, then settled."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from psycopg.rows import class_row

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime
    from uuid import UUID

    from core.db.pool import Connection

LEASE_S = 60
"""Longer than any send may take; a sender that died is replaced after it."""


@dataclass(frozen=True, slots=True)
class Delivery:
    """One message to one channel, with what it says."""

    delivery_id: int
    channel: str
    attempts: int
    alert_id: UUID
    event_seq: int
    kind: str
    severity: str
    rule: str
    scope: str
    vehicle_id: str | None
    plate: str | None
    last_seen: datetime
    lat: float | None
    lon: float | None
    evidence: dict[str, Any] = field(hash=False)


def enqueue(conn: Connection, alert_id: UUID, event_seq: int, channels: Sequence[str]) -> None:
    """Ask for a message about a history line on each channel; asking twice is once."""
    for channel in channels:
        conn.execute(
            "INSERT INTO delivery (alert_id, event_seq, channel) VALUES (%s, %s, %s) ON CONFLICT DO NOTHING",
            (alert_id, event_seq, channel),
        )


def lease(conn: Connection, limit: int) -> list[Delivery]:
    """Lease due deliveries, oldest first; other senders pass them by."""
    with conn.cursor(row_factory=class_row(Delivery)) as cursor:
        return cursor.execute(
            "WITH due AS (SELECT delivery_id FROM delivery WHERE state = 'pending'"
            "  AND next_at <= clock_timestamp()"
            "  AND (leased_until IS NULL OR leased_until < clock_timestamp())"
            "  ORDER BY next_at LIMIT %s FOR UPDATE SKIP LOCKED),"
            " leased AS (UPDATE delivery d SET attempts = attempts + 1,"
            "  leased_until = clock_timestamp() + make_interval(secs => %s)"
            "  FROM due WHERE d.delivery_id = due.delivery_id RETURNING d.*)"
            " SELECT l.delivery_id, l.channel, l.attempts, l.alert_id, l.event_seq, e.kind,"
            "  a.severity, a.rule, a.scope, a.vehicle_id, v.plate, a.last_seen, a.lat, a.lon, a.evidence"
            " FROM leased l JOIN alert_event e ON e.seq = l.event_seq JOIN alert a ON a.alert_id = l.alert_id"
            " LEFT JOIN vehicle v ON v.vehicle_id = a.vehicle_id ORDER BY l.delivery_id",
            (limit, LEASE_S),
        ).fetchall()


def settle_sent(conn: Connection, delivery_id: int) -> None:
    """The channel took it."""
    conn.execute(
        "UPDATE delivery SET state = 'sent', sent_at = clock_timestamp(), leased_until = NULL,"
        " last_error = NULL"
        " WHERE delivery_id = %s AND state = 'pending'",
        (delivery_id,),
    )


def settle_failed(conn: Connection, delivery_id: int, error: str, retry_in_s: float | None) -> None:
    """The channel did not take it: try again later, or give up (``retry_in_s`` None) and keep it as dead."""
    conn.execute(
        "UPDATE delivery SET last_error = %s, leased_until = NULL,"
        " state = CASE WHEN %s::float8 IS NULL THEN 'dead' ELSE 'pending' END,"
        " next_at = clock_timestamp() + make_interval(secs => coalesce(%s::float8, 0))"
        " WHERE delivery_id = %s AND state = 'pending'",
        (error[:1000], retry_in_s, retry_in_s, delivery_id),
    )
