"""The live writer of vehicle state: judges the reports of one batch inside ingest's transaction."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING

import structlog

from core.errors import PledgewatchError
from geofence.catching_up import catch_up
from geofence.context import ContextCache
from geofence.domain import BEGINNING_MS
from geofence.engine import advance_many, deadlines, initial_state, input_order, is_late
from geofence.inputs import is_overtaken, through_ms
from geofence.moving import Moved, wants_saving, write_moved
from geofence.state import VehicleState, from_bytes, to_bytes
from geofence.store import deadlines as deadline_store
from geofence.store import replays as replay_store
from geofence.store import states as state_store

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

    from core.db.pool import Connection
    from core.domain.finding import Finding
    from core.domain.report import Report
    from geofence.domain import Deadline, VehicleFacts
    from geofence.index import Context

CACHED_VEHICLES = 50_000

_log = structlog.get_logger("rules")


@dataclass(frozen=True, slots=True)
class RuleOutcome:
    """What the rules made of a batch."""

    findings: tuple[Finding, ...] = ()
    late_vehicles: tuple[str, ...] = ()
    judged: int = 0
    late: int = 0


@dataclass(slots=True)
class _Cached:
    """A state as of one version of its row, with the deadlines that were armed at that version.

    Whoever writes the state or the deadlines of a vehicle raises the version, so both are exact.
    ``saved_ms`` is the event time of the state in the row, None when it has just been read; ``facts``
    and ``context`` are those that the deadlines were last made from.
    """

    version: int
    state: VehicleState
    armed: dict[tuple[str, str], int]
    saved_ms: int | None = None
    facts: VehicleFacts | None = None
    context: Context | None = None


class RuleWriter:
    """Judges batches of new reports; one per ingest process, used by one thread.

    Call ``apply`` inside the transaction that stores the reports (a savepoint is fine), then
    ``committed`` or ``rolled_back``: a state that was not committed must not be believed.
    """

    def __init__(
        self, *, timezone: str, derive_marks: bool = False, cached_vehicles: int = CACHED_VEHICLES
    ) -> None:
        """Set ``derive_marks`` under the data clock, where time passes in the data alone."""
        self._contexts = ContextCache(timezone)
        self._derive_marks = derive_marks
        self._cached_vehicles = cached_vehicles
        self._cache: dict[str, _Cached] = {}
        self._pending: dict[str, _Cached] = {}

    def apply(self, conn: Connection, reports: Iterable[Report], *, now_ms: int) -> RuleOutcome:
        """Judge reports that were just stored, in any order; ``now_ms`` is telemetry time.

        Reports that a vehicle's state has already passed are late: the vehicle is queued for the
        replayer, the others are judged now. Undated alarms come as ``inputs.judged_undated`` made
        them. Reports of no vehicle are skipped.
        """
        by_vehicle: dict[str, list[Report]] = defaultdict(list)
        for report in reports:
            if report.vehicle_id is not None:
                by_vehicle[report.vehicle_id].append(report)
        if not by_vehicle:
            return RuleOutcome()
        versions = self._take(conn, by_vehicle)
        context, _ = self._contexts.refresh(conn)
        known, broken = self._states(conn, context, versions, by_vehicle)
        late_from = dict.fromkeys(broken, BEGINNING_MS)
        late = sum(len(by_vehicle[vehicle_id]) for vehicle_id in broken)
        fresh: dict[str, Sequence[Report]] = {}
        for vehicle_id, cached in known.items():
            newer, older = _split(by_vehicle[vehicle_id], cached.state)
            self._pending[vehicle_id] = cached
            if older:
                late_from[vehicle_id] = min(report.t_ms for report in older)
                late += len(older)
            if newer:
                fresh[vehicle_id] = newer
        replay_store.queue(conn, late_from, "late_data")
        findings = self._judge(conn, context, known, fresh, now_ms)
        return RuleOutcome(findings, tuple(sorted(late_from)), sum(map(len, fresh.values())), late)

    def committed(self) -> None:
        """Believe what the batch made: its transaction is in the database."""
        for vehicle_id, cached in self._pending.items():
            self._cache.pop(vehicle_id, None)
            self._cache[vehicle_id] = cached  # at the end: the least recently used goes first
        self._pending.clear()
        for vehicle_id in list(self._cache)[: max(0, len(self._cache) - self._cached_vehicles)]:
            del self._cache[vehicle_id]

    def rolled_back(self) -> None:
        """Forget what the batch made."""
        self._pending.clear()

    def _take(self, conn: Connection, by_vehicle: Mapping[str, Sequence[Report]]) -> dict[str, int]:
        """Lock the states' rows and raise their versions; return the new ones."""
        throughs = {v: max(report.t_ms for report in by_vehicle[v]) for v in sorted(by_vehicle)}
        unknown = [v for v in throughs if v not in self._cache and v not in self._pending]
        if not unknown or not state_store.missing(conn, unknown):
            versions = state_store.take(conn, throughs)
            if len(versions) == len(throughs):
                return versions
        state_store.create_and_lock(conn, {v: to_bytes(initial_state(v)) for v in throughs})
        return state_store.take(conn, throughs)

    def _states(
        self,
        conn: Connection,
        context: Context,
        versions: Mapping[str, int],
        by_vehicle: Mapping[str, Sequence[Report]],
    ) -> tuple[dict[str, _Cached], list[str]]:
        """Return the states of taken rows, from the cache where the version says so, and the unreadable."""
        known: dict[str, _Cached] = {}
        for vehicle_id, version in versions.items():
            cached = self._pending.get(vehicle_id) or self._cache.get(vehicle_id)
            if cached is not None and cached.version == version - 1:
                known[vehicle_id] = _Cached(
                    version, cached.state, cached.armed, cached.saved_ms, cached.facts, cached.context
                )
        stale = versions.keys() - known.keys()
        if not stale:
            return known, []
        armed: dict[str, dict[tuple[str, str], int]] = defaultdict(dict)
        for (vehicle_id, device_id, kind), due_ms in deadline_store.of_vehicles(conn, stale).items():
            armed[vehicle_id][device_id, kind] = due_ms
        states: dict[str, VehicleState] = {}
        broken: list[str] = []
        for vehicle_id, data in state_store.load(conn, stale).items():
            try:
                states[vehicle_id] = from_bytes(data)
            except PledgewatchError as exc:
                # Written by another version of the engine: the replayer rebuilds it from the reports.
                _log.warning("state_unreadable", vehicle_id=vehicle_id, error=exc.message)
                broken.append(vehicle_id)
        ours = {vehicle_id: by_vehicle[vehicle_id] for vehicle_id in states}
        caught, _ = catch_up(
            conn, states, self._contexts.facts(conn, states), context, ours, derive_marks=self._derive_marks
        )
        for vehicle_id, state in caught.items():
            known[vehicle_id] = _Cached(versions[vehicle_id], state, armed[vehicle_id])
        return known, broken

    def _judge(
        self,
        conn: Connection,
        context: Context,
        known: Mapping[str, _Cached],
        fresh: Mapping[str, Sequence[Report]],
        now_ms: int,
    ) -> tuple[Finding, ...]:
        if not fresh:
            return ()
        facts = self._contexts.facts(conn, fresh)
        advances = advance_many(
            [(known[v].state, reports, facts[v]) for v, reports in fresh.items()],
            context,
            derive_marks=self._derive_marks,
        )
        moved = []
        for (vehicle_id, _), made in zip(fresh.items(), advances, strict=True):
            cached = known[vehicle_id]
            reached_ms = through_ms(made.state)
            save = wants_saving(vehicle_id, cached.saved_ms, reached_ms)
            if save:
                cached.saved_ms = reached_ms
            moved.append(Moved(cached.version - 1, cached.state, made.state, made.findings, save))
        appended = write_moved(conn, moved, now_ms=now_ms)
        self._arm(conn, context, known, facts, moved)
        return appended.added + appended.corrected

    def _arm(
        self,
        conn: Connection,
        context: Context,
        known: Mapping[str, _Cached],
        facts: Mapping[str, VehicleFacts],
        moved: Collection[Moved],
    ) -> None:
        """Write deadlines that are new or earlier; later ones are left: the sweeper looks, and re-arms."""
        earlier: list[tuple[str, Deadline]] = []
        for one in moved:
            vehicle_id = one.after.vehicle_id
            cached, own = known[vehicle_id], facts[vehicle_id]
            cached.state = one.after
            if cached.facts is own and cached.context is context and _only_later(one.before, one.after):
                continue
            cached.facts, cached.context = own, context
            armed = dict(cached.armed)  # the committed entry has the old one
            for deadline in deadlines(one.after, own, context):
                slot = (deadline.device_id, deadline.kind.value)
                if slot not in armed or deadline.due_ms < armed[slot]:
                    armed[slot] = deadline.due_ms
                    earlier.append((vehicle_id, deadline))
            cached.armed = armed
        deadline_store.arm(conn, earlier)


def _only_later(before: VehicleState, after: VehicleState) -> bool:
    """Whether time went on and nothing else that deadlines are made of: none is new, none is earlier."""
    phase = after.motion.phase
    if phase != before.motion.phase or (phase == "parked" and after.stay_fences):
        return False
    devices = before.devices
    if len(devices) != len(after.devices):
        return False
    for device_id, now in after.devices.items():
        was = devices.get(device_id)
        if was is now:
            continue
        if (
            was is None
            or now.offline is not None
            or was.offline is not None
            or now.power is not None
            or now.removed is not None
            or now.mode != was.mode
            or now.next_report_s != was.next_report_s
            or now.ignition != was.ignition
        ):
            return False
    return True


def _split(reports: Sequence[Report], state: VehicleState) -> tuple[Sequence[Report], list[Report]]:
    """Return the reports to judge now, in order, and those that call for a replay (some are both)."""
    reached_ms = through_ms(state)
    if all(report.t_ms > reached_ms and report.type != "alarm" for report in reports):
        return (reports if len(reports) == 1 else sorted(reports, key=input_order)), []
    ordered = sorted(reports, key=input_order)
    now = [report for report in ordered if not is_late(state, report)]
    again = [report for report in ordered if is_late(state, report) or is_overtaken(state, report)]
    return now, again
