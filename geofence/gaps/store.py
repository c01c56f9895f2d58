"""SQL of overdue gaps and of the devices they were told of."""

from __future__ import annotations

from typing import TYPE_CHECKING

from geofence.gaps.rule import Episode, OverdueGap

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime, timedelta

    from core.db.pool import Connection

JUDGE_LOCK = (7006, 1)


def lock(conn: Connection) -> None:
    """Let one judge at a time raise and clear; holds until the transaction ends."""
    conn.execute("SELECT pg_advisory_xact_lock(%s, %s)", JUDGE_LOCK)


def mark_overdue(
    conn: Connection, now: datetime, settle: timedelta, days: float, days_by_model: Mapping[str, float]
) -> list[str]:
    """Mark the gaps whose reports the device cannot have any more; return the devices they are of."""
    models, model_days = list(days_by_model), list(days_by_model.values())
    shortest = min([days, *model_days])
    rows = conn.execute(
        "UPDATE telemetry_gap g SET overdue_at = %(now)s FROM device d"
        " LEFT JOIN unnest(%(models)s::text[], %(model_days)s::float8[]) AS kept(model, days)"
        "  ON kept.model = d.model"
        " WHERE g.device_id = d.device_id AND d.revoked_at IS NULL"
        " AND g.closed_at IS NULL AND g.overdue_at IS NULL AND g.opened_at <= %(now)s - %(settle)s"
        # The index knows the shortest buffer of all; the second condition is the device's own.
        " AND greatest(g.after_t, g.before_t) < %(now)s - make_interval(secs => %(shortest)s * 86400)"
        " AND greatest(g.after_t, g.before_t)"
        "  < %(now)s - make_interval(secs => coalesce(kept.days, %(days)s) * 86400)"
        " RETURNING g.device_id",
        {
            "now": now, "settle": settle, "days": days, "shortest": shortest,
            "models": models, "model_days": model_days,
        },
    ).fetchall()  # fmt: skip
    return sorted({device_id for (device_id,) in rows})


def overdue(
    conn: Connection,
    device_ids: Sequence[str],
    now: datetime,
    days: float,
    days_by_model: Mapping[str, float],
) -> dict[str, list[OverdueGap]]:
    """Return all overdue open gaps of devices; ``fresh`` are those marked at ``now``."""
    found: dict[str, list[OverdueGap]] = {}
    for device_id, model, boot_id, low, high, after_t, before_t, fresh in conn.execute(
        "SELECT device_id, d.model, boot_id, from_seq, to_seq, after_t, before_t, overdue_at = %s"
        " FROM telemetry_gap JOIN device d USING (device_id)"
        " WHERE device_id = ANY(%s) AND closed_at IS NULL AND overdue_at IS NOT NULL",
        (now, list(device_ids)),
    ).fetchall():
        kept = days_by_model.get(model or "", days)
        found.setdefault(device_id, []).append(
            OverdueGap(device_id, boot_id, low, high, after_t, before_t, kept, fresh)
        )
    return found


def episodes(conn: Connection, device_ids: Sequence[str]) -> dict[str, Episode]:
    """Return the standing episodes of devices."""
    rows = conn.execute(
        "SELECT device_id, vehicle_id, raised_at FROM gap_episode WHERE device_id = ANY(%s)",
        (list(device_ids),),
    ).fetchall()
    return {row[0]: Episode(*row) for row in rows}


def ended(conn: Connection) -> list[tuple[Episode, bool]]:
    """Take the episodes without an overdue gap, or of a device out of service (true), off the list."""
    rows = conn.execute(
        "DELETE FROM gap_episode e USING device d"
        " WHERE d.device_id = e.device_id AND (d.revoked_at IS NOT NULL OR NOT EXISTS ("
        "  SELECT FROM telemetry_gap g WHERE g.device_id = e.device_id AND g.closed_at IS NULL"
        "  AND g.overdue_at IS NOT NULL))"
        " RETURNING e.device_id, e.vehicle_id, e.raised_at, d.revoked_at IS NOT NULL"
    ).fetchall()
    return [(Episode(*row[:3]), row[3]) for row in rows]


def begin(conn: Connection, episode: Episode) -> None:
    """Remember that a device was told of."""
    conn.execute(
        "INSERT INTO gap_episode (device_id, vehicle_id, raised_at) VALUES (%s, %s, %s)", tuple(episode)
    )


def end(conn: Connection, device_id: str) -> None:
    """Forget that a device was told of."""
    conn.execute("DELETE FROM gap_episode WHERE device_id = %s", (device_id,))


def vehicle_at(conn: Connection, device_id: str, moment: datetime) -> str | None:
    """Return the vehicle the device was in at a moment."""
    row = conn.execute(
        "SELECT vehicle_id FROM device_binding WHERE device_id = %s AND valid_from <= %s AND valid_to > %s",
        (device_id, moment, moment),
    ).fetchone()
    return row[0] if row else None
