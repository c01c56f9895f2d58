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
SAVE_EVERY_MS = 5 * 60_000
"""The live writer saves a state so often, in event time; the reports since then rebuild the rest. It divides
CHECKPOINT_EVERY_MS, so that a checkpoint is always also a save."""
FINDING_RULES = frozenset({"FENCE", "STAY", "TRIP", *(rule.name for rule in RULES)})
"""Rules whose findings the engine makes; the table holds those of valuation too."""

DAY_MS = 86_400_000
DENSE_MS = 72 * 3_600_000
"""Checkpoints are kept this long; older ones once a day (architecture, decision 5)."""


@dataclass(frozen=True, slots=True)
class Moved:
    """A vehicle whose state went from ``before`` (at ``version``) to ``after``.

    Without ``save`` the row keeps an older state, which its readers catch up (``catching_up.py``).
    """

    version: int
    before: VehicleState
    after: VehicleState
    findings: Sequence[Finding]
    save: bool = True


def write_moved(conn: Connection, moved: Sequence[Moved], *, now_ms: int) -> Appended:
    """Append the findings, write the states (version + 1), keep a checkpoint where one is due."""
    appended = append(conn, (finding for one in moved for finding in one.findings), now_ms=now_ms)
    rows, checkpoints = {}, []
    for one in moved:
        if not one.save:
            continue
        data, newest_ms = to_bytes(one.after), through_ms(one.after)
        rows[one.after.vehicle_id] = StoredState(one.version + 1, data, newest_ms)
        if wants_checkpoint(one.before, one.after):
            checkpoints.append(Checkpoint(one.after.vehicle_id, newest_ms, data))
    state_store.save(conn, rows)
    state_store.add_checkpoints(conn, checkpoints)
    return appended


def wants_checkpoint(before: VehicleState, after: VehicleState) -> bool:
    """Whether the state has come past a quarter of an hour of event time."""
    offset_ms = _offset_ms(after.vehicle_id)
    return (through_ms(before) + offset_ms) // CHECKPOINT_EVERY_MS != (
        through_ms(after) + offset_ms
    ) // CHECKPOINT_EVERY_MS


def wants_saving(vehicle_id: str, saved_ms: int | None, reached_ms: int) -> bool:
    """Whether the live writer should save a state that has come so far.

    One that was just read (``saved_ms`` None) is saved at once: whoever shares the vehicle with another
    writer, or cannot keep it in its cache, would catch up more with every batch.
    """
    if saved_ms is None:
        return True
    offset_ms = _offset_ms(vehicle_id)
    return (saved_ms + offset_ms) // SAVE_EVERY_MS != (reached_ms + offset_ms) // SAVE_EVERY_MS


def _offset_ms(vehicle_id: str) -> int:
    """Return where a vehicle's quarters begin: a fleet that saved at :00 would write all in one breath."""
    return zlib.crc32(vehicle_id.encode()) % CHECKPOINT_EVERY_MS


def thinned(checkpoints: Sequence[Checkpoint], now_ms: int) -> list[Checkpoint]:
    """Return those worth keeping: all of the last 72 hours, before that the first of each UTC day."""
    kept: dict[int, Checkpoint] = {}
    for point in checkpoints:
        dense = point.through_ms >= now_ms - DENSE_MS
        kept.setdefault(point.through_ms if dense else point.through_ms // DAY_MS, point)
    return list(kept.values())
