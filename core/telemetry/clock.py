"""Opening the deployment's telemetry clock: the anchor lives in the database, so processes agree."""

from __future__ import annotations

from typing import TYPE_CHECKING

from core.clock import Clock, DataClock, ScaledClock, WallClock, parse_clock_spec
from core.telemetry.clock_row.store import anchor, data_seen

if TYPE_CHECKING:
    from core.db.pool import Connection
    from core.settings import Settings


def open_clock(conn: Connection, settings: Settings) -> Clock:
    """Return the clock of the deployment; the first process to open a scaled one anchors it.

    A deployment restarted with the same setting goes on from its anchor; another setting makes a
    new one. The caller owns the transaction (commit it, or the anchor is lost).
    """
    spec = parse_clock_spec(settings.telemetry_clock)
    if spec.kind == "scaled" and spec.start is not None:
        return ScaledClock(spec.start, spec.rate, anchored_at=anchor(conn, settings.telemetry_clock))
    if spec.kind == "data":
        return DataClock(data_seen(conn))
    return WallClock()


def refresh(conn: Connection, clock: Clock) -> None:
    """Let a data clock catch up with what other processes have stored; nothing for the others."""
    if isinstance(clock, DataClock):
        clock.observe(data_seen(conn))


def is_data_clock(clock: Clock) -> bool:
    """Whether telemetry time follows the data."""
    return isinstance(clock, DataClock)
