"""Erasing: looked at first, refused under a hold, done in one transaction, recorded.

What other rooms keep of the same reports (rule state, refused payloads) they delete themselves, in the
same transaction: see pledgewatch/erasing.py.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, time
from typing import TYPE_CHECKING
from uuid import UUID

from core.db.timescale import detect
from core.errors import Conflict, Rejected
from core.events.store import emit
from core.telemetry.storage.erasing import store
from core.telemetry.storage.periods import ROLLUP_LAG
from core.telemetry.storage.rollups import refresh as rollups
from core.telemetry.storage.rollups import store as rollup_store

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from core.db.pool import Connection
    from core.telemetry.storage.erasing.domain import Scope

FOR_EVER = datetime.max.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Preview:
    """What an erasure would take: rows by table, and whom it concerns."""

    counts: dict[str, int]
    devices: list[str]
    vehicles: list[str]
    holds: list[int]
    """Holds that stand in the way."""


def preview(conn: Connection, scope: Scope) -> Preview:
    """Say what would be erased; changes nothing."""
    devices, vehicles = store.concerned(conn, scope, _reports_from(conn))
    counts = store.count(conn, scope)
    for grain in rollups.GRAINS:
        counts[rollup_store.VIEWS[grain]] = store.count_rollups(conn, scope, grain)
    return Preview(counts, devices, vehicles, store.holds_over(conn, _asked(scope, vehicles), scope))


def erase(
    conn: Connection, scope: Scope, reason: str, by: str, *, open_vehicles: Collection[str] = ()
) -> Preview:
    """Delete the scope's reports, latest positions and rollups in the caller's transaction.

    The caller records it (``record``) in the same transaction, commits, and then calls ``settle_rollups``.

    Raises:
        Rejected: no reason.
        Conflict: a hold, or an open recovery of one of ``open_vehicles``, needs the reports.
    """
    if not reason.strip():
        raise Rejected("Expected a reason for the erasure, was empty", code="reason_missing")
    store.open_columnstore(conn)
    floor = _reports_from(conn)
    devices, vehicles = store.concerned(conn, scope, floor)
    asked = _asked(scope, vehicles)
    holds = store.holds_over(conn, asked, scope)
    if holds:
        raise Conflict(
            f"Expected no hold over the period, was under {', '.join(f'number {hold}' for hold in holds)}; "
            "release it first",
            code="under_hold",
        )
    open_ones = sorted(set(asked) & set(open_vehicles))
    if open_ones:
        raise Conflict(
            f"Expected no open recovery, there is one for {', '.join(open_ones)}; close it first",
            code="recovery_open",
        )
    counts = store.delete_reports(conn, scope)
    for grain in rollups.GRAINS:
        counts[rollup_store.VIEWS[grain]] = store.delete_rollups(conn, scope, grain, floor)
    store.restore_latest(conn, devices)
    return Preview(counts, devices, vehicles, [])


def record(
    conn: Connection, scope: Scope, reason: str, by: str, counts: Mapping[str, int], vehicles: Sequence[str]
) -> UUID:
    """Write the erasure down and tell other rooms; in the transaction that erased."""
    erasure_id = store.record(conn, scope, reason, by, counts, vehicles)
    emit(
        conn,
        "telemetry.erased",
        scope.subject_id,
        {
            "erasure_id": str(erasure_id),
            "subject": scope.subject,
            "from": scope.start.isoformat(),
            "until": scope.end.isoformat(),
        },
    )
    return erasure_id


def settle_rollups(conn: Connection, scope: Scope, now: datetime) -> None:
    """Add up again the hours and days that were erased in part; ``conn`` is in autocommit mode, after commit.

    If this does not happen, the job does it at its next run.
    """
    floor = _reports_from(conn)
    if detect(conn).timescaledb is None:
        while rollups.add_up_noted(conn, floor):
            pass
        return
    for grain in rollups.GRAINS:
        width = rollup_store.WIDTHS[grain]
        settled = rollups.floor_to(now - ROLLUP_LAG, width)
        for edge in {rollups.floor_to(scope.start, width), rollups.floor_to(scope.end, width)}:
            if floor <= edge < settled:
                rollup_store.refresh(conn, grain, edge, edge + width)


def _asked(scope: Scope, vehicles: list[str]) -> list[str]:
    return [scope.subject_id] if scope.subject == "vehicle" else vehicles


def _reports_from(conn: Connection) -> datetime:
    """Return since when reports are there; before it, rollups cannot be added up again."""
    if detect(conn).timescaledb is not None:
        return rollup_store.oldest_chunk(conn) or FOR_EVER
    oldest = rollup_store.oldest_day(conn)
    return FOR_EVER if oldest is None else datetime.combine(oldest, time(), UTC)
