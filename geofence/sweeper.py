"""Passed time becomes an input: due deadlines turn into time marks, or are armed again.

A deadline row only says when to look. Looking means: lock the state, ask the engine what is due by
that state, and either move the row to the later moment or store a mark and judge it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import msgspec
import structlog

from core.clock import to_ms
from core.errors import PledgewatchError
from geofence.catching_up import catch_up
from geofence.context import ContextCache
from geofence.domain import BEGINNING_MS, Deadline, TimeMark, VehicleFacts
from geofence.engine import advance_many, deadlines, input_order
from geofence.inputs import through_ms
from geofence.moving import Moved, write_moved
from geofence.state import VehicleState, from_bytes
from geofence.store import deadlines as deadline_store
from geofence.store import replays as replay_store
from geofence.store import states as state_store

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence
    from datetime import datetime

    from core.db.pool import Connection
    from core.domain.finding import Finding
    from geofence.index import Context
    from geofence.store.deadlines import Bounds

BATCH = 200
HEARD_AGAIN_MS = 30 * 60_000
"""After an outage of ours devices reconnect one by one; the shortest time-out is this long too."""
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

    def __init__(self, *, timezone: str, slots: int, derive_marks: bool = False) -> None:
        """Set ``derive_marks`` under the data clock, where time passes in the data alone."""
        self._contexts = ContextCache(timezone)
        self._slots = slots
        self._derive_marks = derive_marks

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
        vehicles = self._load(conn, versions, context)
        armed = deadline_store.of_vehicles(conn, vehicles)
        shards = deadline_store.shards(conn, {slot[1] for slot in armed if slot[1]})
        # Under the data clock time passes with the reports; how long the machine paused says nothing.
        outages = {} if self._derive_marks else deadline_store.outages(conn)
        passed = Passed(bounds, shards, outages)
        taken: dict[TimeMark, bool] = {}  # whether it came too late for the state
        for _ in range(MOST_ROUNDS):
            due = _next_marks(vehicles, context, passed, taken)
            if not due:
                break
            inputs: list[tuple[_Vehicle, TimeMark]] = []
            for vehicle, mark in due:
                taken[mark] = late = self._is_late(vehicle.state, mark)
                vehicle.waits |= late
                if not late:
                    inputs.append((vehicle, mark))
            advances = advance_many([(v.state, [mark], v.facts) for v, mark in inputs], context)
            for (vehicle, _), made in zip(inputs, advances, strict=True):
                vehicle.state = made.state
                vehicle.findings += made.findings
        late_from: dict[str, int] = {}
        if not self._derive_marks:
            stored = deadline_store.add_marks(conn, taken)
            late_from = {mark.vehicle_id: mark.due_ms for mark in stored if taken[mark]}
            replay_store.queue(conn, late_from, "late_mark")
        moved = [Moved(v.version, v.before, v.state, v.findings) for v in vehicles.values()]
        appended = write_moved(conn, moved, now_ms=now_ms)
        self._rearm(conn, context, vehicles, armed.keys(), passed, taken.keys())
        found = len(appended.added) + len(appended.corrected)
        return SweepOutcome(len(vehicles), len(taken), len(late_from), found)

    def _is_late(self, state: VehicleState, mark: TimeMark) -> bool:
        """Whether another device of the vehicle has reported since: judged in its place by a replay.

        Derived marks were made on the way to that report.
        """
        return mark.due_ms <= (state.last[0] if self._derive_marks else through_ms(state))

    def _load(self, conn: Connection, versions: Mapping[str, int], context: Context) -> dict[str, _Vehicle]:
        """Return the locked vehicles that can be judged: readable, and not waiting for a replay."""
        waiting = replay_store.pending(conn, versions)
        facts = self._contexts.facts(conn, versions)
        states = {}
        for vehicle_id, data in state_store.load(conn, versions.keys() - waiting).items():
            try:
                states[vehicle_id] = from_bytes(data)
            except PledgewatchError as exc:
                _log.warning("state_unreadable", vehicle_id=vehicle_id, error=exc.message)
                replay_store.queue(conn, {vehicle_id: BEGINNING_MS}, "unreadable_state")
        # Half a state would make a silent device out of one that was heard.
        states, failed = catch_up(conn, states, facts, context, {}, derive_marks=self._derive_marks)
        return {
            v: _Vehicle(versions[v], state, state, facts[v], [])
            for v, state in states.items()
            if v not in failed
        }

    def _rearm(
        self,
        conn: Connection,
        context: Context,
        vehicles: Mapping[str, _Vehicle],
        armed: Collection[deadline_store.Slot],
        passed: Passed,
        taken: Collection[TimeMark],
    ) -> None:
        """Make the rows of each vehicle what its state asks for; what was marked is not asked again."""
        wanted: list[tuple[str, Deadline]] = []
        for vehicle_id, vehicle in vehicles.items():
            for deadline in deadlines(vehicle.state, vehicle.facts, context):
                counted = passed.counted(deadline)
                if _mark(vehicle_id, counted) not in taken:
                    wanted.append((vehicle_id, counted))
        slots = {(vehicle_id, deadline.device_id, deadline.kind.value) for vehicle_id, deadline in wanted}
        deadline_store.disarm(conn, set(armed) - slots)
        deadline_store.arm(conn, wanted)


@dataclass(frozen=True, slots=True)
class Passed:
    """Up to when silence of a device (or of the vehicle: device '') can be judged."""

    bounds: Bounds
    shards: Mapping[str, int]
    outages: Mapping[int, Sequence[tuple[int, int]]]

    def until_ms(self, device_id: str) -> int:
        """Return the moment up to which everything is stored."""
        slot = self._slot(device_id)
        return to_ms(self.bounds.everywhere if slot is None else self.bounds.by_slot[slot])

    def counted(self, deadline: Deadline) -> Deadline:
        """Return the deadline moved back for what its slot could not hear.

        Deaf time does not count, and after it a device has up to half an hour to be heard again.
        """
        slot = self._slot(deadline.device_id)
        due_ms = deadline.due_ms
        for since_ms, until_ms in sorted(self._all() if slot is None else self.outages.get(slot, ())):
            if until_ms > deadline.since_ms and since_ms < due_ms:
                again_ms = until_ms + min(deadline.due_ms - deadline.since_ms, HEARD_AGAIN_MS)
                due_ms = max(due_ms + until_ms - max(since_ms, deadline.since_ms), again_ms)
        return msgspec.structs.replace(deadline, due_ms=due_ms)

    def _slot(self, device_id: str) -> int | None:
        shard = self.shards.get(device_id)
        return None if shard is None else shard % len(self.bounds.by_slot)

    def _all(self) -> list[tuple[int, int]]:
        return [outage for outages in self.outages.values() for outage in outages]


def _next_marks(
    vehicles: Mapping[str, _Vehicle], context: Context, passed: Passed, taken: Collection[TimeMark]
) -> list[tuple[_Vehicle, TimeMark]]:
    """Return the earliest due mark of each vehicle: one at a time, since a mark can change the next."""
    found = []
    for vehicle_id, vehicle in vehicles.items():
        if vehicle.waits:
            continue
        counted = map(passed.counted, deadlines(vehicle.state, vehicle.facts, context))
        due = [
            mark
            for deadline in counted
            if deadline.due_ms <= passed.until_ms(deadline.device_id)
            and (mark := _mark(vehicle_id, deadline)) not in taken
        ]
        if due:
            found.append((vehicle, min(due, key=input_order)))
    return found


def _mark(vehicle_id: str, deadline: Deadline) -> TimeMark:
    return TimeMark(vehicle_id=vehicle_id, **msgspec.structs.asdict(deadline))
