"""Writing what the engine made of some vehicles: findings, states, checkpoints.

Three writers share this (ingest, the sweeper, the replayer), so that a state always comes with the
findings it has told. The caller holds the locks of the states.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from alerts.findings.store import Appended, append
from geofence.inputs import through_ms
from geofence.rules import RULES
from geofence.state import to_bytes
from geofence.store import states as state_store
from geofence.store.states import Checkpoint, StoredState

if TYPE_CHECKING:
    from collections.abc import Sequence

    from core.db.pool import Connection
    from core.domain.finding import Finding
    from geofence.state import VehicleState

CHECKPOINT_EVERY_MS = 15 * 60_000
FINDING_RULES = frozenset({"FENCE", "STAY", "TRIP", *(rule.name for rule in RULES)})
"""Rules whose findings the engine makes; the table holds those of valuation too."""

DAY_MS = 86_400_000
DENSE_MS = 72 * 3_600_000
"""Checkpoints are kept this long; older ones once a day (architecture, decision 5)."""


@dataclass(frozen=True, slots=True)
class Moved:
    """A vehicle whose state went from ``before`` (at ``version``) to ``after``."""

    version: int
    before: VehicleState
    after: VehicleState
    findings: Sequence[Finding]


def write_moved(conn: Connection, moved: Sequence[Moved], *, now_ms: int) -> Appended:
    """Append the findings, write the states (version + 1), keep a checkpoint where one is due."""
    appended = append(conn, (finding for one in moved for finding in one.findings), now_ms=now_ms)
    rows, checkpoints = {}, []
    for one in moved:
        data, newest_ms = to_bytes(one.after), through_ms(one.after)
        rows[one.after.vehicle_id] = StoredState(one.version + 1, data, newest_ms)
        if wants_checkpoint(one.before, one.after):
            checkpoints.append(Checkpoint(one.after.vehicle_id, newest_ms, data))
    state_store.save(conn, rows)
    state_store.add_checkpoints(conn, checkpoints)
    return appended


def wants_checkpoint(before: VehicleState, after: VehicleState) -> bool:
    """Whether the state has come past a quarter of an hour of event time.

    The quarters of each vehicle begin at its own second: a fleet that checkpointed at :00 would
    write hundreds of megabytes in one breath.
    """
    offset_ms = zlib.crc32(after.vehicle_id.encode()) % CHECKPOINT_EVERY_MS
    return (through_ms(before) + offset_ms) // CHECKPOINT_EVERY_MS != (
        through_ms(after) + offset_ms
    ) // CHECKPOINT_EVERY_MS


def thinned(checkpoints: Sequence[Checkpoint], now_ms: int) -> list[Checkpoint]:
    """Return those worth keeping: all of the last 72 hours, before that the first of each UTC day."""
    kept: dict[int, Checkpoint] = {}
    for point in checkpoints:
        dense = point.through_ms >= now_ms - DENSE_MS
        kept.setdefault(point.through_ms if dense else point.through_ms // DAY_MS, point)
    return list(kept.values())
