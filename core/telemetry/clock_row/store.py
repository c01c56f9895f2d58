"""SQL of the telemetry clock's row."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import datetime

    from core.db.pool import Connection


def anchor(conn: Connection, spec: str) -> datetime:
    """Return when the clock with this setting was first opened; another setting anchors anew."""
    row = conn.execute(
        "INSERT INTO telemetry_clock AS clock (spec) VALUES (%s)"
        " ON CONFLICT (singleton) DO UPDATE SET"
        " anchored_at = CASE WHEN clock.spec = EXCLUDED.spec THEN clock.anchored_at"
        " ELSE clock_timestamp() END, spec = EXCLUDED.spec"
        " RETURNING anchored_at",
        (spec,),
    ).fetchone()
    assert row is not None  # noqa: S101 - RETURNING of an upsert always has a row
    moment: datetime = row[0]
    return moment


def stored_spec(conn: Connection) -> str | None:
    """Return the setting of the clock that was opened last; None before the first."""
    row = conn.execute("SELECT spec FROM telemetry_clock").fetchone()
    return row[0] if row else None


def data_seen(conn: Connection) -> datetime:
    """Return the greatest event time stored (the epoch before the first report)."""
    row = conn.execute(
        "SELECT coalesce((SELECT data_seen FROM telemetry_clock), 'epoch'::timestamptz)"
    ).fetchone()
    assert row is not None  # noqa: S101 - a SELECT without FROM has one row
    moment: datetime = row[0]
    return moment


def advance_data_clock(conn: Connection, seen: datetime) -> None:
    """Record a greatest event time; never moves back."""
    conn.execute(
        "INSERT INTO telemetry_clock AS clock (spec, data_seen) VALUES ('data', %s)"
        " ON CONFLICT (singleton) DO UPDATE SET data_seen = EXCLUDED.data_seen"
        " WHERE clock.data_seen < EXCLUDED.data_seen",
        (seen,),
    )
