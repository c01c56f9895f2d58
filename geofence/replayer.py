"""Mending what late data changed: judges a vehicle again from a checkpoint, then writes the difference.

Computing holds no lock. Then, in one short transaction: lock the state, judge what came since, compare
the findings with those that stand (added, corrected, retracted), write state, checkpoints and
deadlines. A request that was extended meanwhile stays and is served again.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING

import structlog

from alerts.findings import store as finding_store
from core.clock import to_ms
from core.errors import PledgewatchError, Unavailable
from core.telemetry.storage.lost.store import lost_spans
from core.telemetry.store import watermark
from geofence.context import ContextCache
from geofence.domain import BEGINNING_MS
from geofence.engine import Advance, advance, deadlines, initial_state, pass_time
from geofence.inputs import newer, through_ms, windows
from geofence.moving import FINDING_RULES, Moved, thinned, wants_checkpoint, write_moved
from geofence.state import VehicleState, from_bytes, to_bytes
from geofence.store import deadlines as deadline_store
from geofence.store import replays as replay_store
from geofence.store import states as state_store
from geofence.store.states import Checkpoint

if TYPE_CHECKING:
    from collections.abc import Sequence

    from core.db.pool import Connection
    from core.domain.finding import Finding
    from geofence.domain import VehicleFacts
    from geofence.index import Context
    from geofence.inputs import Input
    from geofence.store.facts import Revisions
    from geofence.store.replays import ReplayRequest

LEASE_S = 120.0
CHUNK = 64
"""Inputs judged at once: enough to make a fence lookup cheap, few enough for checkpoints to lie close."""
FOLD_LIMIT = 500
"""At most so many inputs are judged under the lock; more are judged before asking for it again."""
TRIES = 12
BACKOFF_S = (1.0, 600.0)
DISPROVED = "disproved_by_late_data"

_log = structlog.get_logger("replayer")


@dataclass(slots=True)
class Replay:
    """A replay under way."""

    request: ReplayRequest
    from_ms: int
    base_ms: int | None
    state: VehicleState
    facts: VehicleFacts
    context: Context
    revisions: Revisions
    derive_marks: bool
    findings: list[Finding] = field(default_factory=list)
    checkpoints: list[Checkpoint] = field(default_factory=list)

    def judge(self, inputs: Sequence[Input]) -> None:
        """Go on with more inputs, in event order."""
        for start in range(0, len(inputs), CHUNK):
            before = self.state
            chunk = inputs[start : start + CHUNK]
            self._keep(advance(before, chunk, self.facts, self.context, derive_marks=self.derive_marks))
            if wants_checkpoint(before, self.state):
                point = Checkpoint(self.state.vehicle_id, through_ms(self.state), to_bytes(self.state))
                self.checkpoints.append(point)

    def pass_time(self, until_ms: int) -> None:
        """Let time pass after the last input."""
        self._keep(pass_time(self.state, self.facts, self.context, until_ms))

    def _keep(self, made: Advance) -> None:
        self.state = made.state
        self.findings.extend(made.findings)


@dataclass(frozen=True, slots=True)
class ReplayOutcome:
    """What a replay changed."""

    vehicle_id: str
    added: int = 0
    corrected: int = 0
    retracted: int = 0
    done: bool = True


class Replayer:
    """Serves replay requests; used by one thread, any number may run."""

    def __init__(self, *, timezone: str, derive_marks: bool = False) -> None:
        """Set ``derive_marks`` under the data clock, where time passes in the data alone."""
        self._contexts = ContextCache(timezone)
        self._derive_marks = derive_marks

    def run_once(self, conn: Connection, *, now_ms: int) -> ReplayOutcome | None:
        """Serve the oldest request; None: there is none that is free.

        ``conn`` is in autocommit mode: computing must not keep a transaction open.
        """
        request = replay_store.lease_next(conn, LEASE_S)
        if request is None:
            return None
        try:
            return self._replay(conn, request, now_ms)
        except Exception as exc:
            if not conn.closed and not conn.broken:
                wait_s = min(BACKOFF_S[1], BACKOFF_S[0] * 2.0 ** min(request.attempts, 16))
                replay_store.postpone(conn, request.vehicle_id, wait_s, f"{type(exc).__name__}: {exc}")
            raise

    def _replay(self, conn: Connection, request: ReplayRequest, now_ms: int) -> ReplayOutcome:
        from_ms = request.from_ms
        replay: Replay | None = None
        for _ in range(TRIES):
            replay = replay or self._begin(conn, request.vehicle_id, from_ms)
            if replay is None:
                return ReplayOutcome(request.vehicle_id)  # another replayer was quicker
            for inputs in windows(conn, replay.state):
                replay.judge(inputs)
            with conn.transaction():
                answer = self._write(conn, replay, now_ms)
            if isinstance(answer, ReplayOutcome):
                _log.info("replayed", reason=request.reason, **asdict(answer))
                return answer
            replay, from_ms = answer
        raise Unavailable(
            f"Expected to replay {request.vehicle_id} within {TRIES} tries; it changed each time",
            code="replay_overtaken",
        )

    def _begin(self, conn: Connection, vehicle_id: str, from_ms: int) -> Replay | None:
        with conn.transaction():
            context, revisions = self._contexts.refresh(conn)
            request = replay_store.read(conn, vehicle_id)
            if request is None:
                return None
            from_ms = min(from_ms, request.from_ms)
            facts = self._contexts.facts(conn, [vehicle_id])[vehicle_id]
            base = state_store.checkpoint_before(conn, vehicle_id, from_ms)
        state = None if base is None else _readable(base.state)
        if base is None or state is None:
            from_ms, base_ms, state = BEGINNING_MS, None, initial_state(vehicle_id)
        else:
            base_ms = base.through_ms
        return Replay(request, from_ms, base_ms, state, facts, context, revisions, self._derive_marks)

    def _write(
        self, conn: Connection, replay: Replay, now_ms: int
    ) -> ReplayOutcome | tuple[Replay | None, int]:
        """Write the result under the state's lock, or say with what (None: anew) and from where to go on."""
        vehicle_id = replay.state.vehicle_id
        version = _lock(conn, vehicle_id)
        revisions = self._contexts.refresh(conn)[1]
        request = replay_store.read(conn, vehicle_id)
        if request is None:
            return ReplayOutcome(vehicle_id)
        if request.from_ms < replay.from_ms:
            return None, request.from_ms
        if revisions != replay.revisions:
            return None, replay.from_ms
        came_since = newer(conn, replay.state)
        if len(came_since) > FOLD_LIMIT:
            return replay, replay.from_ms
        replay.judge(came_since)
        until = watermark(conn) if self._derive_marks else None
        if until is not None:
            replay.pass_time(to_ms(until))
        produced = {finding.id: finding for finding in replay.findings}
        standing = finding_store.current_detected_after(conn, vehicle_id, FINDING_RULES, replay.base_ms)
        # What stands on reports that were dropped or erased since cannot be disproved by their absence.
        lost = lost_spans(conn, vehicle_id)
        gone = {finding.id for finding in standing if not _is_lost(finding, lost)} - produced.keys()
        # A finding that grew (P2, later P1) and lost its growth must fall back to what it was: that
        # lies before the checkpoint, so the replay has to begin before the finding's first revision.
        born_ms = finding_store.first_detected_ms(conn, gone)
        if replay.base_ms is not None and born_ms is not None and born_ms <= replay.base_ms:
            return None, born_ms
        retracted = finding_store.retract(conn, gone, DISPROVED)
        state_store.drop_checkpoints(conn, vehicle_id, replay.from_ms)
        state_store.add_checkpoints(conn, thinned(replay.checkpoints, now_ms))
        moved = Moved(version, replay.state, replay.state, list(produced.values()))
        appended = write_moved(conn, [moved], now_ms=now_ms)
        self._rearm(conn, replay)
        done = replay_store.finish(conn, vehicle_id, replay.request.requested_at)
        return ReplayOutcome(vehicle_id, len(appended.added), len(appended.corrected), retracted, done)

    def _rearm(self, conn: Connection, replay: Replay) -> None:
        vehicle_id = replay.state.vehicle_id
        wanted = deadlines(replay.state, replay.facts, replay.context)
        slots = {(vehicle_id, deadline.device_id, deadline.kind.value) for deadline in wanted}
        deadline_store.disarm(conn, deadline_store.of_vehicles(conn, [vehicle_id]).keys() - slots)
        deadline_store.arm(conn, ((vehicle_id, deadline) for deadline in wanted))


def _is_lost(finding: Finding, lost: Sequence[tuple[int, int]]) -> bool:
    return any(
        start <= moment < end for moment in (finding.event_ms, finding.detected_ms) for start, end in lost
    )


def _readable(data: bytes) -> VehicleState | None:
    """Return a checkpoint's state; None when an engine of another version wrote it: replay from the start."""
    try:
        return from_bytes(data)
    except PledgewatchError as exc:
        _log.warning("checkpoint_unreadable", error=exc.message)
        return None


def _lock(conn: Connection, vehicle_id: str) -> int:
    """Lock the state's row, creating it if the vehicle never got that far, and return its version."""
    versions = state_store.lock(conn, [vehicle_id])
    if not versions:
        versions = state_store.create_and_lock(conn, {vehicle_id: to_bytes(initial_state(vehicle_id))})
    return versions[vehicle_id]
