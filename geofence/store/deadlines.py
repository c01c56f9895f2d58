"""SQL of deadlines and of the time marks they become."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from core.clock import from_ms, to_ms
from core.db.arrays import moment_array, text_array
from geofence.domain import Deadline, MarkKind, TimeMark

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

    from core.db.pool import Connection

Slot = tuple[str, str, str]
"""What a deadline is about: (vehicle, device or '', kind)."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """How far time has come: per ingest slot, and for what belongs to no slot."""

    everywhere: datetime
    by_slot: dict[int, datetime]


def bounds(conn: Connection, now: datetime, slots: int) -> Bounds | None:
    """Return up to when silence can be judged; None while a slot has never said how far it is.

    A slot that does not run does not move its watermark: silence of ours is no silence of a device.
    """
    rows = conn.execute(
        "SELECT slot, received_until FROM time_watermark WHERE slot < %s", (slots,)
    ).fetchall()
    if len(rows) < slots:
        return None
    until = {slot: min(moment, now) for slot, moment in rows}
    return Bounds(min(until.values()), until)


def due_vehicles(conn: Connection, limits: Bounds, limit: int) -> list[str]:
    """Return vehicles with a deadline that has passed and no replay ahead of them, oldest first."""
    rows = conn.execute(
        "SELECT d.vehicle_id, min(d.due_at) AS first_due FROM deadline d"
        " LEFT JOIN device v ON v.device_id = d.device_id"
        " LEFT JOIN unnest(%s::smallint[], %s::timestamptz[]) AS w(slot, until) ON w.slot = v.shard %% %s"
        " WHERE d.due_at <= %s AND d.due_at <= coalesce(w.until, %s)"
        " AND NOT EXISTS (SELECT FROM replay_request r WHERE r.vehicle_id = d.vehicle_id)"
        " GROUP BY d.vehicle_id ORDER BY first_due LIMIT %s",
        (
            list(limits.by_slot), list(limits.by_slot.values()), max(1, len(limits.by_slot)),
            max(limits.by_slot.values(), default=limits.everywhere), limits.everywhere, limit,
        ),
    ).fetchall()  # fmt: skip
    return [row[0] for row in rows]


def of_vehicles(conn: Connection, vehicle_ids: Collection[str]) -> dict[Slot, int]:
    """Return what is armed: due times in ms."""
    if not vehicle_ids:
        return {}
    rows = conn.execute(
        "SELECT vehicle_id, device_id, kind, due_at FROM deadline WHERE vehicle_id = ANY(%s)",
        (list(vehicle_ids),),
    ).fetchall()
    return {(row[0], row[1], row[2]): to_ms(row[3]) for row in rows}


def shards(conn: Connection, device_ids: Collection[str]) -> dict[str, int]:
    """Return the topic shard of each device that is registered."""
    rows = conn.execute(
        "SELECT device_id, shard FROM device WHERE device_id = ANY(%s)", (list(device_ids),)
    ).fetchall()
    return dict(rows)


def arm(conn: Connection, deadlines: Iterable[tuple[str, Deadline]]) -> None:
    """Write deadlines whatever stood there; the caller holds the states' locks."""
    rows = {(vehicle_id, d.device_id, d.kind.value): d for vehicle_id, d in deadlines}
    if not rows:
        return
    conn.execute(
        "INSERT INTO deadline AS d (vehicle_id, device_id, kind, since, due_at, level)"
        " SELECT * FROM unnest(%b::text[], %b::text[], %b::text[], %b::timestamptz[],"
        " %b::timestamptz[], %b::int[])"
        " ON CONFLICT (vehicle_id, device_id, kind) DO UPDATE"
        " SET since = EXCLUDED.since, due_at = EXCLUDED.due_at, level = EXCLUDED.level",
        (
            [slot[0] for slot in rows], [slot[1] for slot in rows], [slot[2] for slot in rows],
            [from_ms(d.since_ms) for d in rows.values()], [from_ms(d.due_ms) for d in rows.values()],
            [d.level for d in rows.values()],
        ),
    )  # fmt: skip


def disarm(conn: Connection, slots: Collection[Slot]) -> None:
    """Delete deadlines that nothing waits for any more."""
    if not slots:
        return
    conn.execute(
        "DELETE FROM deadline d"
        " USING unnest(%b::text[], %b::text[], %b::text[]) AS v(vehicle_id, device_id, kind)"
        " WHERE d.vehicle_id = v.vehicle_id AND d.device_id = v.device_id AND d.kind = v.kind",
        ([s[0] for s in slots], [s[1] for s in slots], [s[2] for s in slots]),
    )


def add_marks(conn: Connection, marks: Collection[TimeMark]) -> set[TimeMark]:
    """Store passed time as an input; return the marks that were not there before."""
    if not marks:
        return set()
    rows = conn.execute(
        "INSERT INTO time_mark (vehicle_id, device_id, kind, since, due_at, level)"
        " SELECT * FROM unnest(%b::text[], %b::text[], %b::text[], %b::timestamptz[],"
        " %b::timestamptz[], %b::int[])"
        " ON CONFLICT DO NOTHING RETURNING vehicle_id, device_id, kind, due_at, level",
        (
            [m.vehicle_id for m in marks], [m.device_id for m in marks], [m.kind.value for m in marks],
            [from_ms(m.since_ms) for m in marks], [from_ms(m.due_ms) for m in marks],
            [m.level for m in marks],
        ),
    ).fetchall()  # fmt: skip
    new = {(row[0], row[1], row[2], to_ms(row[3]), row[4]) for row in rows}
    return {m for m in marks if (m.vehicle_id, m.device_id, m.kind.value, m.due_ms, m.level) in new}


def outages(conn: Connection) -> dict[int, list[tuple[int, int]]]:
    """Return, for each slot, the stretches of telemetry time (ms) in which it could hear nobody."""
    found: dict[int, list[tuple[int, int]]] = {}
    for slot, since, until in conn.execute("SELECT slot, deaf_from, deaf_until FROM slot_outage").fetchall():
        found.setdefault(slot, []).append((to_ms(since), to_ms(until)))
    return found


def marks_of_vehicle(
    conn: Connection, vehicle_id: str, after_ms: int, until_ms: int | None
) -> list[TimeMark]:
    """Return the marks with after < due <= until (None: without end)."""
    rows = conn.execute(
        "SELECT device_id, kind, since, due_at, level FROM time_mark"
        " WHERE vehicle_id = %s AND due_at > %s AND due_at <= coalesce(%s, 'infinity'::timestamptz)",
        (vehicle_id, from_ms(after_ms), None if until_ms is None else from_ms(until_ms)),
    ).fetchall()
    return [
        TimeMark(
            vehicle_id=vehicle_id, device_id=device_id, kind=MarkKind(kind),
            since_ms=to_ms(since), due_ms=to_ms(due), level=level,
        )
        for device_id, kind, since, due, level in rows
    ]  # fmt: skip


def marks_after(conn: Connection, after_ms: Mapping[str, int]) -> list[TimeMark]:
    """Return the marks of many vehicles, each from a moment of its own on (exclusive)."""
    rows = conn.execute(
        "SELECT m.vehicle_id, m.device_id, m.kind, m.since, m.due_at, m.level"
        " FROM unnest(%b::text[], %b::timestamptz[]) AS v(id, moment)"
        " JOIN time_mark m ON m.vehicle_id = v.id AND m.due_at > v.moment",
        (text_array(list(after_ms)), moment_array(list(after_ms.values()))),
    ).fetchall()
    return [
        TimeMark(
            vehicle_id=vehicle_id, device_id=device_id, kind=MarkKind(kind),
            since_ms=to_ms(since), due_ms=to_ms(due), level=level,
        )
        for vehicle_id, device_id, kind, since, due, level in rows
    ]  # fmt: skip
