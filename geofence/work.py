"""One vehicle while its inputs are taken: the open copy of its state. Used by geofence/engine.py alone."""

from __future__ import annotations

from typing import Any

from core.domain.finding import Finding
from core.domain.report import Report
from core.geo.distance import at_most_m
from geofence.crossing import Crossed, Members, cross, is_settled
from geofence.devices import OpenDevice, bound_devices
from geofence.domain import MarkKind, TimeMark, VehicleFacts
from geofence.index import Context, Hits
from geofence.motion import move
from geofence.passes import passes
from geofence.quality import jumps, screen
from geofence.rules import RULES
from geofence.rules.moment import Moment
from geofence.rules.removed import stirs
from geofence.rules.roster import Roster
from geofence.rules.signals import AT_RISK, EVERYTHING, FIX, MARK, OUT_OF_REGION, OUT_OF_YARD, heard
from geofence.rules.yard import watched_yards
from geofence.sights import Sight, hits_of, look_again, named_fences
from geofence.state import STATE_VERSION, Cluster, DeviceState, Fix, Undated, VehicleState
from geofence.telling import of_crossing, of_motion, of_pass
from geofence.undated import judge_undated, undated_key

DEVICE_RULES = Roster(rule for rule in RULES if rule.subject == "device")
VEHICLE_RULES = Roster(rule for rule in RULES if rule.subject == "vehicle")
PASSES_KEPT = 32
_PLANE_SPARE = 1.01
"""Distances to borders are measured in a plane at the point: a hundredth more than they can differ by."""


class Work:
    """Takes inputs one by one and collects findings."""

    __slots__ = (
        "before",
        "context",
        "devices",
        "facts",
        "findings",
        "fix",
        "held",
        "ignition_seen",
        "last",
        "last_ms",
        "members",
        "moment",
        "motion",
        "open",
        "passed",
        "shortcuts",
        "slots",
        "stay_fences",
        "yards",
    )

    def __init__(
        self, state: VehicleState, facts: VehicleFacts, context: Context, moment: Moment, *, shortcuts: bool
    ) -> None:
        """``moment`` may have served other vehicles; without ``shortcuts`` every rule sees every input."""
        self.before = state
        self.facts = facts
        self.context = context
        self.shortcuts = shortcuts
        self.findings: list[Finding] = []
        self.last = state.last
        self.last_ms = state.last_ms
        self.fix, self.held = state.fix, state.held
        self.motion, self.members, self.passed = state.motion, state.members, state.passes
        self.devices: dict[str, DeviceState | OpenDevice] = dict(state.devices)
        self.slots: dict[str, Any] = {
            "region": state.region,
            "yard": state.yard,
            "risk": state.risk,
            "tow": state.tow,
        }
        self.open = VEHICLE_RULES.open(state)
        self.stay_fences = state.stay_fences
        self.ignition_seen = state.ignition_seen
        self.yards = watched_yards(facts) if facts.yard_fence_ids else ()
        self.moment = moment
        moment.facts = facts

    # ------------------------------------------------------------------------------- inputs

    def take_report(self, report: Report, sight: Sight | None) -> None:
        """Take a report: position first, then the rules about the vehicle, then those about the device."""
        t_ms, limits = report.t_ms, self.context.thresholds
        device = self._open(report.device_id)
        moment = self._now(t_ms, report.device_id, device)
        moment.report = report
        signals = heard(report, limits.power.cut_below_v) if self.shortcuts else EVERYTHING
        if report.ignition:
            self.ignition_seen = True
        current: Fix | None = None
        if sight is not None:
            if len(self.devices) == 1 or self._leads(sight.fix):
                last = self.fix
                if sight.before is not last:
                    sight = look_again(last, sight.fix, sight.hits, self.context)
                step_m = sight.step_m
                is_plain = (
                    step_m is None or last is None or not jumps(last, sight.fix, step_m, limits.quality)
                )
                if is_plain and self.held is None:
                    current = sight.fix
                    signals |= self._take_fix(sight, moment)
                else:
                    current, seen = self._screen(sight, report, moment)
                    signals |= seen
            device.fix_ms = t_ms
        self._judge_vehicle(moment, current, signals)
        device.last_ms = t_ms
        device.mode = report.mode or device.mode
        device.next_report_s = report.next_report_s
        if report.ignition is not None:
            device.ignition = report.ignition
        self._judge_device(moment, device, signals)
        if stirs(report):
            device.stirred_ms = t_ms
        self.last_ms = t_ms

    def _screen(self, sight: Sight, report: Report, moment: Moment) -> tuple[Fix | None, int]:
        """Take what the jump filter lets through: nothing, the fix, or the one held before it too."""
        step_m, quality = sight.step_m or 0.0, self.context.thresholds.quality
        fresh, self.held = screen(self.fix, self.held, sight.fix, step_m, quality)
        signals = 0
        for fix in fresh:
            if fix is sight.fix:
                if sight.before is not self.fix:
                    sight = look_again(self.fix, fix, sight.hits, self.context)
                signals = self._take_fix(sight, moment)
                continue
            hits = hits_of(fix, self.facts, self.context)  # a held fix is believed now
            signals = self._take_fix(look_again(self.fix, fix, hits, self.context), moment)
            moment.report = None
            self._judge_vehicle(moment, fix, signals)
            moment.report, moment.t_ms = report, report.t_ms
        return (sight.fix if fresh else None), signals

    def take_mark(self, mark: TimeMark) -> None:
        """Take passed time, unless a report that came after all disproves it."""
        if mark.kind is MarkKind.DWELL:
            if mark.since_ms < self.last_ms <= mark.due_ms:
                return
            moment = self._now(mark.due_ms, "", None)
            moment.mark = mark
            signals = MARK | AT_RISK if self.stay_fences else MARK
            self._judge_vehicle(moment, None, signals if self.shortcuts else EVERYTHING)
            return
        known = self.devices.get(mark.device_id)
        facts = bound_devices(self.facts, mark.device_id)
        if (
            known is None
            or facts is None
            or (facts.removed_ms is not None and facts.removed_ms <= mark.due_ms)
        ):
            return
        undated_ms = known.undated.last[0] if known.undated is not None else -1
        if mark.since_ms < known.last_ms <= mark.due_ms or mark.since_ms < undated_ms <= mark.due_ms:
            return
        device = self._open(mark.device_id)
        device.asked_ms = mark.since_ms
        moment = self._now(mark.due_ms, mark.device_id, device)
        moment.mark = mark
        self._judge_device(moment, device, MARK if self.shortcuts else EVERYTHING)

    def take_undated(self, report: Report) -> None:
        """Judge the alarm bits of a report without a plausible time, at its receipt, apart from the order."""
        device = self._open(report.device_id)
        seen = device.undated or Undated()
        if undated_key(report) <= seen.last:
            return
        moment = self._now(report.t_ms, report.device_id, device)
        moment.report, moment.undated = report, True
        device.undated, found = judge_undated(seen, report, moment)
        self.findings += found

    def state(self) -> VehicleState:
        """Return the frozen state after all inputs."""
        devices = {
            device_id: device.close() if isinstance(device, OpenDevice) else device
            for device_id, device in self.devices.items()
        }
        return VehicleState(
            self.before.vehicle_id,
            STATE_VERSION,
            self.last,
            self.last_ms,
            self.fix,
            self.held,
            self.motion,
            self.members,
            self.passed,
            devices,
            self.slots["tow"],
            self.slots["region"],
            self.slots["yard"],
            self.slots["risk"],
            self.stay_fences,
            self.ignition_seen,
        )

    # ------------------------------------------------------------------------------- places

    def _take_fix(self, sight: Sight, moment: Moment) -> int:
        """Move fences and motion by a fix that is believed; return its signals."""
        index, limits = self.context.fences, self.context.thresholds
        fix, hits, previous, before = sight.fix, sight.hits, self.fix, self.members
        crossed: list[Crossed] = []
        is_calm = self.shortcuts and is_settled(before, hits, fix, index)
        if not is_calm:
            own = frozenset(named_fences(self.facts))
            self.members, crossed = cross(before, hits, fix, previous, index, limits.crossing, own)
        candidates, reach = sight.candidates, sight.reach
        if candidates and reach is not None and previous is not None:
            fences, members = index.fences, self.members
            strange = [number for number in candidates if fences[number].id not in members]
            if strange or self.passed or not self.shortcuts:
                self._pass(previous, sight, reach, before, moment)
        self.motion, told = move(self.motion, fix, previous, limits.motion, sight.step_m)
        self.fix = fix
        moment.t_ms, moment.hits, moment.crossed, moment.last_fix = fix.t_ms, hits, crossed, fix
        self.findings += [of_crossing(each, moment) for each in crossed]
        self.findings += [of_motion(each, moment) for each in told]
        motion = self.motion
        if motion.phase == "parked" and motion.stay is not None:
            self.stay_fences = self._stay_fences(motion.stay, fix, hits) if hits else ()
        elif motion.phase != "departing":
            self.stay_fences = ()
        return self._placed(is_calm=is_calm) if self.shortcuts else EVERYTHING

    def _placed(self, *, is_calm: bool) -> int:
        """Return what a fix means to the rules about places; ``is_calm``: it agrees with every membership."""
        facts, inside, signals = self.facts, self.members.keys(), FIX
        if facts.region_fence_ids and not (is_calm and not inside.isdisjoint(facts.region_fence_ids)):
            signals |= OUT_OF_REGION
        if self.yards and not (is_calm and not inside.isdisjoint(self.yards)):
            signals |= OUT_OF_YARD
        return signals | AT_RISK if self.stay_fences else signals

    def _stay_fences(self, stay: Cluster, fix: Fix, hits: Hits) -> tuple[str, ...]:
        """Return the risk fences that hold the middle of a stay."""
        index, found = self.context.fences, []
        for number, distance in hits:
            fence = index.fences[number]
            if not index.risky[number] or not fence.in_force(fix.t_ms):
                continue
            spread_m = at_most_m(stay.lat, stay.lon, fix.lat, fix.lon) * _PLANE_SPARE
            # With no border between the two, the middle is on the fix's side.
            is_clear = self.shortcuts and spread_m < abs(distance)
            if distance <= 0.0 if is_clear else index.contains(number, stay.lon, stay.lat):
                found.append(fence.id)
        return tuple(found)

    def _pass(
        self, previous: Fix, sight: Sight, reach: float, members_before: Members, moment: Moment
    ) -> None:
        index, limits, fix = self.context.fences, self.context.thresholds.crossing, sight.fix
        around = members_before if members_before is self.members else {**members_before, **self.members}
        horizon_ms = fix.t_ms - limits.pass_repeat_s * 1000
        told = {key: t_ms for key, t_ms in self.passed.items() if t_ms > horizon_ms}
        for passed in passes(sight.candidates, previous, fix, reach, around, index, limits):
            key = f"{passed.event[5:9]}\x1f{passed.fence.id}"
            if key in told:
                continue
            told[key] = passed.event_ms
            self.findings.append(of_pass(passed, previous, fix, moment))
        # A dense district must not swell the state: the oldest are forgotten first, and may be told again.
        self.passed = dict(list(told.items())[-PASSES_KEPT:])

    # ------------------------------------------------------------------------------- rules

    def _judge_vehicle(self, moment: Moment, fix: Fix | None, signals: int) -> None:
        chosen = VEHICLE_RULES.chosen(signals, self.open)
        if not chosen:
            return
        moment.fix, moment.motion, moment.members = fix, self.motion, self.members
        moment.stay_fences, moment.ignition_seen, moment.last_fix = (
            self.stay_fences,
            self.ignition_seen,
            self.fix,
        )
        if fix is None:
            moment.hits, moment.crossed = (), ()
        else:
            moment.t_ms = fix.t_ms
        for slot, judge, bit in chosen:
            before = self.slots[slot]
            after, found = judge(before, moment)
            if after is not before:
                self.slots[slot] = after
                self.open = self.open | bit if after else self.open & ~bit
            if found:
                self.findings.extend(found)

    def _judge_device(self, moment: Moment, device: OpenDevice, signals: int) -> None:
        moment.motion, moment.members, moment.last_fix = self.motion, self.members, self.fix
        for slot, judge, bit in DEVICE_RULES.chosen(signals, device.open):
            before = getattr(device, slot)
            after, found = judge(before, moment)
            if after is not before:
                setattr(device, slot, after)
                device.open = device.open | bit if after else device.open & ~bit
            if found:
                self.findings.extend(found)

    # ------------------------------------------------------------------------------- devices

    def _open(self, device_id: str) -> OpenDevice:
        known = self.devices.get(device_id)
        if isinstance(known, OpenDevice):
            return known
        state = known or DeviceState()
        device = self.devices[device_id] = OpenDevice(state, DEVICE_RULES.open(state))
        return device

    def _now(self, t_ms: int, device_id: str, device: OpenDevice | None) -> Moment:
        moment = self.moment
        moment.t_ms = moment.detected_ms = t_ms
        moment.device_id, moment.device = device_id, device
        moment.report = moment.mark = moment.fix = None
        moment.undated = False
        moment.last_fix = self.fix
        return moment

    def _leads(self, fix: Fix) -> bool:
        """Return whether this device's fixes move the vehicle: wired before wireless, then the leader."""
        if self.fix is None:
            return True
        recent_ms = fix.t_ms - self.context.thresholds.quality.lead_silent_s * 1000
        mine = None
        leader = (self.held or self.fix).device_id
        for device_id, other in self.devices.items():
            if other.fix_ms <= recent_ms or device_id == fix.device_id:
                continue
            mine = self._rank(fix.device_id) if mine is None else mine
            rank = self._rank(device_id)
            if rank < mine or (rank == mine and device_id == leader):
                return False
        return True

    def _rank(self, device_id: str) -> int:
        facts = bound_devices(self.facts, device_id)
        return 1 if facts is None or facts.power == "wireless" else 0
