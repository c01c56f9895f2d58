"""Erasing in every room at once: reports, what rules remember of them, what was refused."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING
from uuid import UUID

from alerts.cases.store import vehicles_with_open_case
from core.telemetry.storage.erasing.domain import Scope
from core.telemetry.storage.erasing.erase import erase, record, settle_rollups
from geofence.forgetting import forget as rules
from ingest.forgetting import store as refused

if TYPE_CHECKING:
    from datetime import datetime

    from core.db.pool import Connection


@dataclass(frozen=True, slots=True)
class Erased:
    """What went, and the row that says so."""

    erasure_id: UUID
    counts: dict[str, int]
    devices: list[str]
    vehicles: list[str]


def erase_everywhere(conn: Connection, scope: Scope, reason: str, by: str, now: datetime) -> Erased:
    """Erase in one transaction; ``conn`` is in autocommit mode, ``now`` is telemetry time.

    Raises:
        Rejected: no reason.
        Conflict: a hold or an open recovery needs the reports.
    """
    with conn.transaction():
        done = erase(conn, scope, reason, by, open_vehicles=vehicles_with_open_case(conn))
        devices = sorted({*done.devices, *([scope.subject_id] if scope.subject == "device" else [])})
        counts = done.counts | rules.forget(conn, done.vehicles, scope.start, scope.end)
        counts |= refused.forget(conn, devices, scope.start, scope.end)
        erasure_id = record(conn, scope, reason, by, counts, done.vehicles)
    settle_rollups(conn, scope, now)
    return Erased(erasure_id, counts, devices, done.vehicles)
