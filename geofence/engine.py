"""The engine: (state, reports and time marks) -> (state, findings). Pure: no I/O, no clock.

One vehicle's inputs go through in event order; the fence lookups of a whole batch are one
vectorised question. Wherever the inputs are cut into calls, findings and final state are the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import msgspec

from core.domain.finding import Finding
from core.domain.report import Report
from geofence.devices import bound_devices
from geofence.domain import Deadline, MarkKind, TimeMark, VehicleFacts
from geofence.index import Context, FenceIndex
from geofence.rules import risk_place
from geofence.rules.moment import Moment
from geofence.rules.silence import expected_gap_s, silence_limits_s
from geofence.sights import Input, Sight, is_undated, look
from geofence.state import VehicleState, from_bytes, initial_state, to_bytes
from geofence.work import Work

Item = tuple[VehicleState, Sequence[Input], VehicleFacts]

__all__ = [
    "Advance",
    "Context",
    "FenceIndex",
    "advance",
    "advance_many",
    "deadlines",
    "from_bytes",
    "initial_state",
    "input_order",
    "is_late",
    "is_undated",
    "pass_time",
    "to_bytes",
]

_MARK_ORDER = {MarkKind.SILENCE: 0, MarkKind.DWELL: 1}


class Advance(NamedTuple):
    """What a call did to one vehicle."""

    state: VehicleState
    findings: list[Finding]


def input_order(item: Input) -> tuple[int, int, str, int, int, int]:
    """Return the sort key of reports and marks; a mark comes after the reports of its millisecond."""
    if isinstance(item, Report):
        return (item.t_ms, 0, item.device_id, item.boot_id, item.seq, 0)
    return (item.due_ms, 1, item.device_id, _MARK_ORDER[item.kind], item.since_ms, item.level)


def is_late(state: VehicleState, item: Input) -> bool:
    """Return whether the state has already gone past an input: it needs a replay from a checkpoint."""
    if isinstance(item, Report) and (item.t_ms > state.last[0] or is_undated(item)):
        return False
    return input_order(item) <= state.last


def advance(
    state: VehicleState,
    inputs: Sequence[Input],
    facts: VehicleFacts,
    context: Context,
    *,
    derive_marks: bool = False,
) -> Advance:
    """Take one vehicle's inputs, in event order; repeats and inputs out of order are passed over."""
    return advance_many([(state, inputs, facts)], context, derive_marks=derive_marks)[0]


def advance_many(
    items: Sequence[Item], context: Context, *, derive_marks: bool = False, shortcuts: bool = True
) -> list[Advance]:
    """Take the inputs of many vehicles with one fence lookup for all of them.

    With ``derive_marks`` (recorded files: time is in the data) every deadline that lies before the
    next report is marked on the way, as a prompt sweeper would have done. ``shortcuts`` changes
    nothing but the cost: without them, as tests compare, every fence and every rule sees every input.
    """
    moment = Moment(context)
    results = []
    for (state, inputs, facts), seen in zip(items, look(items, context), strict=True):
        work = Work(state, facts, context, moment, shortcuts=shortcuts)
        for item, sight in zip(inputs, seen, strict=True):
            if derive_marks and isinstance(item, Report) and not is_undated(item):
                _sweep(work, facts, context, item.t_ms)
            _take(work, item, sight)
        results.append(Advance(work.state(), work.findings))
    return results


def pass_time(state: VehicleState, facts: VehicleFacts, context: Context, until_ms: int) -> Advance:
    """Mark every deadline of a state up to a moment, though no input came."""
    work = Work(state, facts, context, Moment(context), shortcuts=True)
    _sweep(work, facts, context, until_ms + 1)
    return Advance(work.state(), work.findings)


def _take(work: Work, item: Input, sight: Sight | None) -> None:
    if isinstance(item, Report) and item.type == "alarm" and is_undated(item):
        work.take_undated(item)
        return
    key = input_order(item)
    if key <= work.last:
        return
    work.last = key
    if isinstance(item, Report):
        work.take_report(item, sight)
    else:
        work.take_mark(item)


def _sweep(work: Work, facts: VehicleFacts, context: Context, before_ms: int) -> None:
    """Take the marks of all deadlines before a moment; one that proves nothing is taken once."""
    taken = set[Deadline]()
    while True:
        open_ = (
            d for d in deadlines(work.state(), facts, context) if d.due_ms < before_ms and d not in taken
        )
        deadline = min(open_, key=lambda d: (d.due_ms, d.device_id, d.kind), default=None)
        if deadline is None:
            return
        taken.add(deadline)
        mark = TimeMark(vehicle_id=facts.vehicle_id, **msgspec.structs.asdict(deadline))
        if input_order(mark) <= work.last:
            # Another device's report made this one's silence too long only now.
            mark = msgspec.structs.replace(mark, due_ms=work.last[0] + 1)
        _take(work, mark, None)


def deadlines(state: VehicleState, facts: VehicleFacts, context: Context) -> list[Deadline]:
    """Return what must be armed now; at most one deadline per (device, kind)."""
    found = []
    limits, parked = context.thresholds, state.motion.phase in {"parked", "departing"}
    for device_id, device in state.devices.items():
        bound = bound_devices(facts, device_id)
        if bound is None or device.contact_ms < 0:
            continue
        since_ms = device.contact_ms
        if bound.removed_ms is not None and bound.removed_ms <= since_ms:
            continue
        waits = silence_limits_s(device, bound, limits.offline, parked=parked)
        level = 1 if device.offline is None else device.offline.level + 1
        due_ms = since_ms + waits[level - 1] * 1000 if level <= len(waits) else None
        pending = (device.power is not None and device.power.raised_ms is None) or (
            device.removed is not None and device.removed.raised_ms is None
        )
        if pending and device.offline is None:
            # A cut or removal reported once: the next expected report decides.
            gap_s = expected_gap_s(device, bound, parked=parked) + limits.power.report_grace_s
            early_ms = since_ms + max(limits.power.debounce_s, gap_s) * 1000
            if not device.asked_ms >= since_ms and (due_ms is None or early_ms < due_ms):
                level, due_ms = 0, early_ms
        if due_ms is not None:
            found.append(
                Deadline(
                    device_id=device_id, kind=MarkKind.SILENCE, since_ms=since_ms, due_ms=due_ms, level=level
                )
            )
    dwell = _dwell_deadline(state, context)
    return found if dwell is None else [*found, dwell]


def _dwell_deadline(state: VehicleState, context: Context) -> Deadline | None:
    stay = state.motion.stay
    if stay is None or state.motion.phase != "parked":
        return None
    due: list[tuple[int, int]] = []
    for fence_id in state.stay_fences:
        number = context.fences.active(fence_id, state.last_ms)
        visit = state.risk.get(fence_id)
        if number is None:
            continue
        fence = context.fences.fences[number]
        moment = risk_place.raise_at_ms(visit, stay.start_ms, fence, context.thresholds.risk_place)
        # A fence that will have expired by then can prove nothing: armed, it would fire for ever.
        if moment is not None and context.fences.active(fence_id, moment) is not None:
            due.append((moment, 1 if visit is None or visit.raised_ms is None else 2))
    if not due:
        return None
    due_ms, level = min(due)
    return Deadline(kind=MarkKind.DWELL, since_ms=state.last_ms, due_ms=due_ms, level=level)
