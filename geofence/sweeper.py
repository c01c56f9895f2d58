"""Passed time becomes an input: due deadlines turn into time marks, or are armed again.

A deadline row only says when to look. Looking means: lock the state, ask the engine what is due by
that state, and either move the row to the later moment or store a mark and judge it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import structlog

from core.clock import to_ms
from core.errors import PledgewatchError
from geofence.context import ContextCache
from geofence.domain import BEGINNING_MS, Deadline, TimeMark, VehicleFacts
from geofence.engine import advance_many, deadlines
from geofence.inputs import through_ms
from geofence.moving import Moved, write_moved
from geofence.state import VehicleState, from_bytes
from geofence.store import deadlines as deadline_store
from geofence.store import replays as replay_store
from geofence.store import states as state_store

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping
    from datetime import datetime

    from core.db.pool import Connection
    from core.domain.finding import Finding
    from geofence.index import Context
    from geofence.store.deadlines import Bounds

BATCH = 200
MOST_ROUNDS = 50
"""Marks of one vehicle in one sweep; a silence has three time-outs, so this many devices would be odd."""

_log = structlog.get_logger("sweeper")


@dataclass(frozen=True, slots=True)
class SweepOutcome:
    """What a sweep looked at, and what came of it."""

    looked: int = 0
    marks: int = 0
    late_marks: int = 0
    findings: int = 0


@dataclass(slots=True)
class _Vehicle:
    """A locked vehicle during the sweep."""

    version: int
    before: VehicleState
    state: VehicleState
    facts: VehicleFacts
    findings: list[Finding]
    waits: bool = False  # a mark was late: the replayer goes on


class Sweeper:
    """Sweeps due deadlines; used by one thread, any number may run."""

    def __init__(self, *, timezone: str, slots: int) -> None:
        self._contexts = ContextCache(timezone)
        self._slots = slots

    def run_once(self, conn: Connection, *, now: datetime) -> SweepOutcome:
        """Look at one batch of due deadlines in one transaction; ``now`` is telemetry time.

        Due means: passed by ``now`` and by the watermark, up to which everything that the broker
        accepted is stored. While ingest is down the watermark stands still, and nobody is judged.
        """
        with conn.transaction():
            bounds = deadline_store.bounds(conn, now, self._slots)
            if bounds is None:
                return SweepOutcome()
            candidates = deadline_store.due_vehicles(conn, bounds, BATCH)
            versions = state_store.lock_free(conn, candidates) if candidates else {}
            if not versions:
                return SweepOutcome()
            return self._sweep(conn, versions, bounds, to_ms(now))

    def _sweep(
        self, conn: Connection, versions: Mapping[str, int], bounds: Bounds, now_ms: int
    ) -> SweepOutcome:
        context, _ = self._contexts.refresh(conn)
        vehicles = self._load(conn, versions)
        armed = deadline_store.of_vehicles(conn, vehicles)
        shards = deadline_store.shards(conn, {slot[1] for slot in armed if slot[1]})
        until = _Until(bounds, shards)
        marks: list[TimeMark] = []
        late: dict[str, int] = {}
        for _ in range(MOST_ROUNDS):
            due = _next_marks(vehicles, context, until)
            if not due:
                break
            marks += due.values()
            inputs: list[tuple[_Vehicle, TimeMark]] = []
            for vehicle_id, mark in due.items():
                if mark.due_ms > through_ms(vehicles[vehicle_id].state):
                    inputs.append((vehicles[vehicle_id], mark))
                else:  # another device of the vehicle has reported since: judged in its place by a replay
                    vehicles[vehicle_id].waits = True
                    late[vehicle_id] = mark.due_ms
            advances = advance_many([(v.state, [mark], v.facts) for v, mark in inputs], context)
            for (vehicle, _), made in zip(inputs, advances, strict=True):
                vehicle.state = made.state
                vehicle.findings += made.findings
        deadline_store.add_marks(conn, marks)
        replay_store.queue(conn, late, "late_mark")
        moved = [Moved(v.version, v.before, v.state, v.findings) for v in vehicles.values()]
        appended = write_moved(conn, moved, now_ms=now_ms)
        self._rearm(conn, context, vehicles, armed.keys())
        return SweepOutcome(
            len(vehicles), len(marks), len(late), len(appended.added) + len(appended.corrected)
        )

    def _load(self, conn: Connection, versions: Mapping[str, int]) -> dict[str, _Vehicle]:
        """Return the locked vehicles that can be judged: readable, and not waiting for a replay."""
        waiting = replay_store.pending(conn, versions)
        facts = self._contexts.facts(conn, versions)
        vehicles = {}
        for vehicle_id, data in state_store.load(conn, versions.keys() - waiting).items():
            try:
                state = from_bytes(data)
            except PledgewatchError as exc:
                _log.warning("state_unreadable", vehicle_id=vehicle_id, error=exc.message)
                replay_store.queue(conn, {vehicle_id: BEGINNING_MS}, "unreadable_state")
                continue
            vehicles[vehicle_id] = _Vehicle(versions[vehicle_id], state, state, facts[vehicle_id], [])
        return vehicles

    def _rearm(
        self,
        conn: Connection,
        context: Context,
        vehicles: Mapping[str, _Vehicle],
        armed: Collection[deadline_store.Slot],
    ) -> None:
        """Make the rows of each vehicle what its state asks for."""
        wanted: list[tuple[str, Deadline]] = [
            (vehicle_id, deadline)
            for vehicle_id, vehicle in vehicles.items()
            for deadline in deadlines(vehicle.state, vehicle.facts, context)
        ]
        slots = {(vehicle_id, deadline.device_id, deadline.kind.value) for vehicle_id, deadline in wanted}
        deadline_store.disarm(conn, set(armed) - slots)
        deadline_store.arm(conn, wanted)


@dataclass(frozen=True, slots=True)
class _Until:
    """Up to when silence of a device (or of the vehicle: device '') can be judged."""

    bounds: Bounds
    shards: Mapping[str, int]

    def ms(self, device_id: str) -> int:
        shard = self.shards.get(device_id)
        if shard is None:
            return to_ms(self.bounds.everywhere)
        return to_ms(self.bounds.by_slot[shard % len(self.bounds.by_slot)])


def _next_marks(vehicles: Mapping[str, _Vehicle], context: Context, until: _Until) -> dict[str, TimeMark]:
    """Return the earliest due mark of each vehicle: one at a time, since a mark can change the next."""
    marks = {}
    for vehicle_id, vehicle in vehicles.items():
        if vehicle.waits:
            continue
        due = [
            d for d in deadlines(vehicle.state, vehicle.facts, context) if d.due_ms <= until.ms(d.device_id)
        ]
        if due:
            first = min(due, key=lambda d: (d.due_ms, d.device_id, d.kind.value))
            marks[vehicle_id] = TimeMark(
                vehicle_id=vehicle_id, device_id=first.device_id, kind=first.kind,
                since_ms=first.since_ms, due_ms=first.due_ms, level=first.level,
            )  # fmt: skip
    return marks
