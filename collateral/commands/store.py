"""SQL of commands to devices."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, NamedTuple
from uuid import UUID

from psycopg.rows import class_row
from psycopg.types.json import Jsonb

from collateral.commands.domain import OPEN, Command, State

if TYPE_CHECKING:
    from core.db.pool import Connection

_COLUMNS = (
    "command_id, number, device_id, vehicle_id, kind, params, purpose, requested_by, requested_at,"
    " expires_at, state, tries, sent_at, received_at, ended_at, ended_by, detail"
)
_HEARD = "greatest(s.last_received, s.online_at)"
_IN_NOW = "LEFT JOIN device_binding b ON b.device_id = c.device_id AND b.valid_to = 'infinity'"
# What was asked about one vehicle is not asked of another: its branch and its purpose were not those.
# Settings and restarts of a device in no vehicle may wait until it is built in.
_MOVED = (
    "(c.vehicle_id IS DISTINCT FROM b.vehicle_id"
    " AND (c.vehicle_id IS NOT NULL OR c.kind IN ('locate', 'track')))"
)
FIRST_PAUSE_S = 5
LONGEST_PAUSE_S = 300


class Target(NamedTuple):
    """The device of a new command."""

    revoked: bool
    open_commands: int


class Due(NamedTuple):
    """A command to be sent now; ``heard`` is when its device was last heard."""

    command_id: UUID
    device_id: str
    shard: int
    kind: str
    params: dict[str, Any]
    expires_at: datetime
    left_s: int
    heard: datetime | None


def lock_device(conn: Connection, device_id: str) -> Target | None:
    """Return what stands against a command, holding the device against a revocation meanwhile."""
    device = conn.execute(
        "SELECT revoked_at IS NOT NULL FROM device WHERE device_id = %s FOR NO KEY UPDATE", (device_id,)
    ).fetchone()
    # Counted by a statement of its own: one that waited for the lock still counts as before the wait.
    count = conn.execute(
        "SELECT count(*) FROM device_command WHERE device_id = %s AND state = ANY(%s)",
        (device_id, list(OPEN)),
    ).fetchone()
    return Target(device[0], count[0]) if device and count else None


def insert(
    conn: Connection,
    device_id: str,
    kind: str,
    params: Mapping[str, Any],
    *,
    purpose: str,
    actor: str,
    lasting: timedelta,
) -> Command:
    """Queue a command for a device, noting the vehicle that it is in."""
    with conn.cursor(row_factory=class_row(Command)) as cur:
        row = cur.execute(
            "INSERT INTO device_command (device_id, vehicle_id, kind, params, purpose, requested_by,"
            " expires_at, heard_at)"
            " SELECT d.device_id, b.vehicle_id, %s, %s, %s, %s, clock_timestamp() + %s,"
            f" {_HEARD} FROM device d"
            " LEFT JOIN device_binding b ON b.device_id = d.device_id AND b.valid_to = 'infinity'"
            " LEFT JOIN device_status s ON s.device_id = d.device_id WHERE d.device_id = %s"
            f" RETURNING {_COLUMNS}",
            (kind, Jsonb(dict(params)), purpose, actor, lasting, device_id),
        ).fetchone()
    assert row is not None  # noqa: S101 - the device is locked
    return row


def get(conn: Connection, command_id: UUID, *, lock: bool = False) -> Command | None:
    """Return a command, if asked held against other writers."""
    with conn.cursor(row_factory=class_row(Command)) as cur:
        return cur.execute(
            f"SELECT {_COLUMNS} FROM device_command WHERE command_id = %s" + (" FOR UPDATE" if lock else ""),
            (command_id,),
        ).fetchone()


def page(
    conn: Connection,
    *,
    org_ids: Sequence[str],
    device_id: str | None = None,
    vehicle_id: str | None = None,
    state: str | None = None,
    before: int | None = None,
    limit: int,
) -> list[Command]:
    """Return commands to devices in vehicles of these branches (in none: the head office's), newest first."""
    with conn.cursor(row_factory=class_row(Command)) as cur:
        return cur.execute(
            f"SELECT {', '.join('c.' + name for name in _COLUMNS.replace(',', '').split())}"
            " FROM device_command c LEFT JOIN vehicle v ON v.vehicle_id = c.vehicle_id"
            " WHERE coalesce(v.org_id, 'head') = ANY(%(orgs)s)"
            " AND (%(device)s::text IS NULL OR c.device_id = %(device)s)"
            " AND (%(vehicle)s::text IS NULL OR c.vehicle_id = %(vehicle)s)"
            " AND (%(state)s::text IS NULL OR c.state = %(state)s)"
            " AND (%(before)s::bigint IS NULL OR c.number < %(before)s)"
            " ORDER BY c.number DESC LIMIT %(limit)s",
            {
                "orgs": list(org_ids),
                "device": device_id,
                "vehicle": vehicle_id,
                "state": state,
                "before": before,
                "limit": limit,
            },
        ).fetchall()


def org_of(conn: Connection, command_id: UUID) -> str | None:
    """Return the branch of the vehicle that the command was about; without a vehicle the head office."""
    row = conn.execute(
        "SELECT coalesce(v.org_id, 'head') FROM device_command c LEFT JOIN vehicle v USING (vehicle_id)"
        " WHERE c.command_id = %s",
        (command_id,),
    ).fetchone()
    return row[0] if row else None


def due(conn: Connection, limit: int) -> list[Due]:
    """Return what to send now: to devices that are online, or were heard since it was tried last.

    Pauses between tries grow, so that a device that does not listen is not flooded; one that wakes a
    day later is past any pause.
    """
    return [
        Due(*row)
        for row in conn.execute(
            "SELECT c.command_id, c.device_id, d.shard, c.kind, c.params, c.expires_at,"
            " ceil(extract(epoch FROM c.expires_at - clock_timestamp()))::int,"
            f" {_HEARD} FROM device_command c"
            " JOIN device d ON d.device_id = c.device_id JOIN device_status s ON s.device_id = c.device_id"
            f" {_IN_NOW} WHERE c.state IN ('queued', 'sent') AND c.expires_at > clock_timestamp()"
            f" AND d.revoked_at IS NULL AND NOT {_MOVED}"
            f" AND (c.state = 'queued' AND s.online OR {_HEARD} > coalesce(c.heard_at, '-infinity'))"
            " AND (c.tried_at IS NULL OR c.tried_at < clock_timestamp()"
            "      - make_interval(secs => least(%s * 2 ^ least(c.tries, 20), %s)))"
            " ORDER BY c.number LIMIT %s",
            (FIRST_PAUSE_S, LONGEST_PAUSE_S, limit),
        ).fetchall()
    ]


def note_tries(conn: Connection, tried: Sequence[tuple[UUID, datetime | None, bool]]) -> None:
    """Record (command, when its device was last heard, whether the broker had somebody to give it to)."""
    with conn.cursor() as cur:
        cur.executemany(
            "UPDATE device_command SET tries = tries + 1, tried_at = clock_timestamp(), heard_at = %s,"
            " sent_at = CASE WHEN %s THEN coalesce(sent_at, clock_timestamp()) ELSE sent_at END,"
            " state = CASE WHEN %s AND state = 'queued' THEN 'sent' ELSE state END WHERE command_id = %s",
            [(heard, taken, taken, command_id) for command_id, heard, taken in sorted(tried)],
        )


def expire(conn: Connection) -> int:
    """End what is past its time; returns how many."""
    return conn.execute(
        "UPDATE device_command SET state = 'expired', ended_at = clock_timestamp()"
        " WHERE command_id IN (SELECT command_id FROM device_command WHERE state = ANY(%s)"
        "   AND expires_at <= clock_timestamp() ORDER BY command_id FOR UPDATE SKIP LOCKED)",
        (list(OPEN),),
    ).rowcount


def cancel_moved(conn: Connection) -> int:
    """Cancel what was asked of devices that are in another vehicle now; returns how many."""
    return conn.execute(
        "UPDATE device_command SET state = 'cancelled', ended_at = clock_timestamp(),"
        " ended_by = 'system:commands', detail = 'device moved' WHERE command_id IN"
        f" (SELECT c.command_id FROM device_command c {_IN_NOW} WHERE c.state IN ('queued', 'sent')"
        f" AND {_MOVED} ORDER BY c.command_id FOR UPDATE OF c SKIP LOCKED)"
    ).rowcount


def end(conn: Connection, command_ids: Sequence[UUID], state: State, *, by: str, detail: str = "") -> None:
    """End open commands."""
    conn.execute(
        "UPDATE device_command SET state = %s, ended_at = clock_timestamp(), ended_by = %s, detail = %s"
        " WHERE command_id = ANY(%s) AND state = ANY(%s)",
        (state, by, detail, list(command_ids), list(OPEN)),
    )


def cancel_all(conn: Connection, device_id: str, *, by: str, detail: str) -> int:
    """Cancel everything that waits for a device."""
    return conn.execute(
        "UPDATE device_command SET state = 'cancelled', ended_at = clock_timestamp(), ended_by = %s,"
        " detail = %s WHERE command_id IN (SELECT command_id FROM device_command"
        "   WHERE device_id = %s AND state = ANY(%s) ORDER BY command_id FOR UPDATE)",
        (by, detail, device_id, list(OPEN)),
    ).rowcount


class Moved(NamedTuple):
    """A command that an answer changed."""

    kind: str
    params: dict[str, Any]


def answer(
    conn: Connection, command_id: UUID, device_id: str, state: State, detail: str, before: Sequence[State]
) -> Moved | None:
    """Record a device's answer; None when it is not its command or changes nothing."""
    row = conn.execute(
        "UPDATE device_command SET state = %(state)s, detail = %(detail)s,"
        " sent_at = coalesce(sent_at, clock_timestamp()),"
        " received_at = coalesce(received_at, clock_timestamp()),"
        " ended_by = CASE WHEN %(over)s THEN 'device' END,"
        " ended_at = CASE WHEN %(over)s THEN clock_timestamp() END"
        " WHERE command_id = %(command)s AND device_id = %(device)s AND state = ANY(%(before)s)"
        " RETURNING kind, params",
        {
            "state": state,
            "detail": detail,
            "over": state not in OPEN,
            "command": command_id,
            "device": device_id,
            "before": list(before),
        },
    ).fetchone()
    return Moved(*row) if row else None


def is_of(conn: Connection, command_id: UUID, device_id: str) -> bool:
    """Tell whether a command was ever asked of a device."""
    row = conn.execute(
        "SELECT 1 FROM device_command WHERE command_id = %s AND device_id = %s", (command_id, device_id)
    ).fetchone()
    return row is not None


def set_intervals(conn: Connection, device_id: str, params: Mapping[str, int]) -> None:
    """Take over the intervals that a device has confirmed."""
    conn.execute(
        "UPDATE device SET moving_s = coalesce(%s, moving_s), parked_s = coalesce(%s, parked_s),"
        " sleep_s = coalesce(%s, sleep_s) WHERE device_id = %s",
        (params.get("moving_s"), params.get("parked_s"), params.get("sleep_s"), device_id),
    )
