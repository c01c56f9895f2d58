"""Dropping what is older than its period, whole days at a time."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, time
from typing import TYPE_CHECKING

from core.db.timescale import detect
from core.telemetry.storage.chunks.store import chunks, forget_chunks_before
from core.telemetry.storage.retention import store
from core.telemetry.storage.rollups.store import VIEWS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from core.db.pool import Connection
    from core.telemetry.storage.periods import Periods
    from core.telemetry.storage.rollups.store import Grain


@dataclass(frozen=True, slots=True)
class Retained:
    """What a run did."""

    dropped: int
    """Chunks or partitions of reports."""
    held: int
    """Reports copied because a hold keeps them."""
    released: int
    """Copies deleted because no hold keeps them any more."""
    undated: int


def retain(conn: Connection, periods: Periods, now: datetime, open_vehicles: Sequence[str] = ()) -> Retained:
    """Drop what is too old by ``now``; reports of ``open_vehicles`` and those under a hold stay.

    ``conn`` is in autocommit mode. Rollups must have been refreshed before: what they have not added up
    is gone with the reports.
    """
    floor = datetime.combine((now - periods.raw).astimezone(UTC).date(), time(), UTC)
    plain = detect(conn).timescaledb is None
    dropped, held = (_drop_partitions if plain else _drop_chunks)(conn, floor, open_vehicles)
    grains: tuple[tuple[Grain, datetime], ...] = (
        ("hour", now - periods.hourly),
        ("day", now - periods.daily),
    )
    for grain, before in grains:
        with conn.transaction():
            if plain:
                store.drop_kept(conn, grain, before)
            else:
                store.drop_chunks(conn, VIEWS[grain], before)
    with conn.transaction():
        undated = store.drop_undated(conn, floor, open_vehicles)
        released = store.forget_released(conn, open_vehicles)
    return Retained(dropped, held, released, undated)


def _drop_chunks(conn: Connection, floor: datetime, open_vehicles: Sequence[str]) -> tuple[int, int]:
    with conn.transaction():
        ended = [chunk.ends for chunk in chunks(conn) if chunk.ends <= floor]
        if not ended:
            return 0, 0
        held = store.keep_held(conn, ended[-1], open_vehicles)
        dropped = store.drop_chunks(conn, "telemetry", ended[-1])
        forget_chunks_before(conn, ended[-1])
        store.forget_days(conn, ended[-1].date())
    return dropped, held


def _drop_partitions(conn: Connection, floor: datetime, open_vehicles: Sequence[str]) -> tuple[int, int]:
    """Detach, then drop, each day for itself; a run that was killed is finished by the next."""
    partitions = store.partitions_before(conn, floor.date())
    held = 0
    for partition in partitions:
        if partition.attached and not partition.pending:
            with conn.transaction():
                held += store.keep_held(conn, store.end_of_day(partition.day), open_vehicles)
            store.detach(conn, partition)
        elif partition.pending:
            store.finish_detach(conn, partition)
        with conn.transaction():
            store.drop_day(conn, partition)
    return len(partitions), held
