"""Keeping rollups up to date, also when reports come late.

TimescaleDB logs what changed and adds it up again when asked. On plain PostgreSQL a trigger notes the
device's hour (migration 0208), and the same is done here.
"""

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta
from typing import TYPE_CHECKING

from core.db.timescale import detect
from core.telemetry.storage.periods import ROLLUP_LAG
from core.telemetry.storage.rollups import store

if TYPE_CHECKING:
    from core.db.pool import Connection

NOTES_AT_ONCE = 2_000
GRAINS: tuple[store.Grain, ...] = ("hour", "day")


def refresh_rollups(conn: Connection, now: datetime) -> None:
    """Add up what is older than two hours and not added up yet; ``conn`` is in autocommit mode."""
    if detect(conn).timescaledb is not None:
        _refresh_aggregates(conn, now)
    else:
        _keep_rows(conn, now)


def floor_to(moment: datetime, width: timedelta) -> datetime:
    """Return the start of the UTC hour or day that holds a moment."""
    day = datetime.combine(moment.astimezone(UTC).date(), time(), UTC)
    return day + (moment - day) // width * width


def _refresh_aggregates(conn: Connection, now: datetime) -> None:
    """Refresh from the oldest chunk on, never before: dropped reports would take their sums along."""
    begin = store.oldest_chunk(conn)
    if begin is None:
        return
    for grain in GRAINS:
        width = store.WIDTHS[grain]
        start, end = floor_to(begin, width), floor_to(now - ROLLUP_LAG, width)
        if start < begin:
            start += width
        if end - start >= width:
            store.refresh(conn, grain, start, end)


def _keep_rows(conn: Connection, now: datetime) -> None:
    with conn.transaction():
        store.start_noting(conn, floor_to(now - ROLLUP_LAG, store.WIDTHS["hour"]))
    oldest = store.oldest_day(conn)
    if oldest is None:
        return
    begin = datetime.combine(oldest, time(), UTC)
    for grain in GRAINS:
        end = floor_to(now - ROLLUP_LAG, store.WIDTHS[grain])
        while _keep_a_day(conn, grain, begin, end):
            pass
    while add_up_noted(conn, begin):
        pass


def _keep_a_day(conn: Connection, grain: store.Grain, begin: datetime, end: datetime) -> bool:
    """Add up at most a day more, in a transaction; false when everything before ``end`` is kept."""
    with conn.transaction():
        store.lock_kept(conn)
        reached = store.kept_until(conn, grain) or begin
        if reached >= end:
            return False
        store.keep(conn, grain, reached, min(end, reached + store.WIDTHS["day"]))
    return True


def add_up_noted(conn: Connection, begin: datetime) -> bool:
    """Add up a portion of the noted hours again, in a transaction; false when none were left.

    Hours before ``begin`` stay as they are: their reports have been dropped.
    """
    with conn.transaction():
        store.lock_kept(conn)
        if not store.take_notes(conn, NOTES_AT_ONCE):
            return False
        for grain in GRAINS:
            store.add_up_again(conn, grain, begin)
    return True
