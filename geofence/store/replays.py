"""SQL of wishes to replay a vehicle."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from core.clock import from_ms, to_ms
from geofence.domain import BEGINNING_MS

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from core.db.pool import Connection


@dataclass(frozen=True, slots=True)
class ReplayRequest:
    """A vehicle whose inputs from ``from_ms`` on have to be judged again."""

    vehicle_id: str
    from_ms: int
    requested_at: datetime
    reason: str
    attempts: int


def queue(conn: Connection, wishes: Mapping[str, int], reason: str) -> None:
    """Ask for replays: vehicle -> event time (ms). Wishes for one vehicle become one, from the earliest."""
    if not wishes:
        return
    conn.execute(
        "INSERT INTO replay_request AS r (vehicle_id, replay_from, reason)"
        " SELECT id, since, %b FROM unnest(%b::text[], %b::timestamptz[]) AS v(id, since) ORDER BY id"
        " ON CONFLICT (vehicle_id) DO UPDATE SET"
        " replay_from = least(r.replay_from, EXCLUDED.replay_from),"
        " reason = CASE WHEN position(EXCLUDED.reason IN r.reason) > 0 THEN r.reason"
        " ELSE r.reason || ',' || EXCLUDED.reason END,"
        " requested_at = clock_timestamp()",
        (reason, list(wishes), [from_ms(max(ms, BEGINNING_MS)) for ms in wishes.values()]),
    )


def lease_next(conn: Connection, seconds: float) -> ReplayRequest | None:
    """Take the oldest free request for a while; a replayer that dies loses it when the lease ends."""
    row = conn.execute(
        "UPDATE replay_request AS r SET leased_until = clock_timestamp() + make_interval(secs => %s),"
        " attempts = r.attempts + 1 FROM ("
        "  SELECT vehicle_id FROM replay_request WHERE leased_until < clock_timestamp()"
        "  ORDER BY attempts, requested_at LIMIT 1 FOR UPDATE SKIP LOCKED"
        ") AS free WHERE r.vehicle_id = free.vehicle_id"
        " RETURNING r.vehicle_id, r.replay_from, r.requested_at, r.reason, r.attempts",
        (seconds,),
    ).fetchone()
    return None if row is None else ReplayRequest(row[0], to_ms(row[1]), *row[2:])


def read(conn: Connection, vehicle_id: str) -> ReplayRequest | None:
    """Return the request as it is now, and keep it from being extended until the transaction ends."""
    row = conn.execute(
        "SELECT vehicle_id, replay_from, requested_at, reason, attempts FROM replay_request"
        " WHERE vehicle_id = %s FOR UPDATE",
        (vehicle_id,),
    ).fetchone()
    return None if row is None else ReplayRequest(row[0], to_ms(row[1]), *row[2:])


def finish(conn: Connection, vehicle_id: str, requested_at: datetime) -> bool:
    """Delete the request unless it was extended since; then free it. Returns whether it is done."""
    done = conn.execute(
        "DELETE FROM replay_request WHERE vehicle_id = %s AND requested_at = %s", (vehicle_id, requested_at)
    ).rowcount
    if not done:
        conn.execute(
            "UPDATE replay_request SET leased_until = '-infinity', attempts = 0 WHERE vehicle_id = %s",
            (vehicle_id,),
        )
    return bool(done)


def postpone(conn: Connection, vehicle_id: str, seconds: float, error: str) -> None:
    """Remember a failure and try again later."""
    conn.execute(
        "UPDATE replay_request SET leased_until = clock_timestamp() + make_interval(secs => %s),"
        " last_error = %s WHERE vehicle_id = %s",
        (seconds, error[:2000], vehicle_id),
    )


def pending(conn: Connection, vehicle_ids: Collection[str]) -> set[str]:
    """Return which of the vehicles wait for a replay."""
    rows = conn.execute(
        "SELECT vehicle_id FROM replay_request WHERE vehicle_id = ANY(%s)", (list(vehicle_ids),)
    ).fetchall()
    return {row[0] for row in rows}
