"""One vehicle while its inputs are taken: the open copy of its state. Used by geofence/engine.py alone."""

from __future__ import annotations

from typing import Any

import numpy as np

from core.domain.finding import Finding, Severity
from core.domain.report import Report
from geofence.crossing import Crossed, cross
from geofence.devices import OpenDevice, bound_devices
from geofence.domain import DeviceFacts, MarkKind, TimeMark, VehicleFacts
from geofence.fence import RISK_CATEGORIES
from geofence.index import Context, Hits
from geofence.motion import Told, move
from geofence.passes import passes, reach_box, reach_m
from geofence.quality import screen
from geofence.rules import RULES
from geofence.rules.moment import Moment
from geofence.rules.removed import stirs
from geofence.state import STATE_VERSION, DeviceState, Fix, Undated, VehicleState

DEVICE_RULES = tuple((rule.slot, rule.judge) for rule in RULES if rule.subject == "device")
VEHICLE_RULES = tuple((rule.slot, rule.judge) for rule in RULES if rule.subject == "vehicle")
UNDATED_RULES = {
    "power_cut": "EXTERNAL_POWER_CUT",
    "removal": "DEVICE_REMOVED",
    "shell_open": "DEVICE_REMOVED",
    "unplug": "DEVICE_REMOVED",
    "jamming": "GNSS_JAMMING",
    "tow": "TOW_SUSPECTED",
}
_SEVERITY = {rule.name: rule.severity for rule in RULES if rule.slot != "yard"}
UNDATED_REPEAT_S = 3600
PASSES_KEPT = 32


class Sight:
    """A usable fix with what the index said about it and about the way to it."""

    __slots__ = ("before", "candidates", "fix", "hits", "reach")

    def __init__(self, fix: Fix, before: Fix | None) -> None:
        self.fix = fix
        self.before = before
        self.hits: Hits = []
        self.reach: float | None = None
        self.candidates: list[int] = []


class Work:
    """Takes inputs one by one and collects findings."""

    def __init__(self, state: VehicleState, facts: VehicleFacts, context: Context) -> None:
        self.before = state
        self.facts = facts
        self.context = context
        self.findings: list[Finding] = []
        self.last = state.last
        self.last_ms = state.last_ms
        self.fix, self.held = state.fix, state.held
        self.motion, self.members, self.passed = state.motion, state.members, state.passes
        self.devices: dict[str, DeviceState | OpenDevice] = dict(state.devices)
        self.slots: dict[str, Any] = {slot: getattr(state, slot) for slot, _ in VEHICLE_RULES}
        self.stay_fences = state.stay_fences
        self.ignition_seen = state.ignition_seen
        self.own = frozenset((*facts.region_fence_ids, *facts.yard_fence_ids))
        self.moment = Moment(facts, context)

    # ------------------------------------------------------------------------------- inputs

    def take_report(self, report: Report, sight: Sight | None) -> None:
        """Take a report: position first, then the rules about the vehicle, then those about the device."""
        device = self._open(report.device_id)
        moment = self._now(report.t_ms, report.device_id, device)
        moment.report = report
        if report.ignition:
            self.ignition_seen = True
        fresh: tuple[Fix, ...] = ()
        if sight is not None:
            if self._leads(sight.fix, device):
                fresh, self.held = screen(self.fix, self.held, sight.fix, self.context.thresholds.quality)
            device.fix_ms = report.t_ms
        for fix in fresh:
            if sight is not None and fix is not sight.fix:
                self._take_fix(fix, None, moment)  # a held fix is believed now
                moment.report = None
                self._judge_vehicle(moment, fix)
                moment.report, moment.t_ms = report, report.t_ms
            else:
                self._take_fix(fix, sight, moment)
        current = fresh[-1] if fresh and sight is not None and fresh[-1] is sight.fix else None
        self._judge_vehicle(moment, current)
        device.last_ms = report.t_ms
        device.mode = report.mode or device.mode
        device.next_report_s = report.next_report_s
        if report.ignition is not None:
            device.ignition = report.ignition
        self._judge_device(moment, device)
        if stirs(report):
            device.stirred_ms = report.t_ms
        self.last_ms = report.t_ms

    def take_mark(self, mark: TimeMark) -> None:
        """Take passed time, unless a report that came after all disproves it."""
        if mark.kind is MarkKind.DWELL:
            if mark.since_ms < self.last_ms <= mark.due_ms:
                return
            moment = self._now(mark.due_ms, "", None)
            moment.mark = mark
            self._judge_vehicle(moment, None)
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
        self._judge_device(moment, device)

    def take_undated(self, report: Report) -> None:
        """Judge the alarm bits of a report without a plausible time, at its receipt, apart from the order."""
        key = (report.t_ms, report.boot_id, report.seq)
        device = self._open(report.device_id)
        seen = device.undated or Undated()
        if key <= seen.last:
            return
        raised = dict(seen.raised)
        moment = self._now(report.t_ms, report.device_id, device)
        moment.report, moment.undated = report, True
        for rule in sorted({UNDATED_RULES[word] for word in report.alarms if word in UNDATED_RULES}):
            last_ms = raised.get(rule)
            if last_ms is not None and report.t_ms - last_ms < UNDATED_REPEAT_S * 1000:
                continue
            if moment.in_service(report.t_ms):
                continue
            raised[rule] = report.t_ms
            on_vehicle = rule == "TOW_SUSPECTED"
            self.findings.append(
                moment.finding(
                    rule,
                    "raise",
                    report.t_ms,
                    scope="" if on_vehicle else report.device_id,
                    severity=_SEVERITY.get(rule, Severity.P2),
                    device=not on_vehicle,
                    alarms=list(report.alarms),
                    claimed_ms=report.fix_ms if report.fix_ms is not None else report.device_ms,
                    reports_ms=[report.t_ms],
                )
            )
        device.undated = Undated(key, raised)

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

    def _take_fix(self, fix: Fix, sight: Sight | None, moment: Moment) -> None:
        index, limits = self.context.fences, self.context.thresholds
        previous = self.fix
        hits = sight.hits if sight is not None else self._hits(fix)
        before = self.members
        self.members, crossed = cross(before, hits, fix, previous, index, limits.crossing, self.own)
        if previous is not None and index.has_shared:
            self._pass(previous, fix, sight, before, moment)
        self.motion, told = move(self.motion, fix, previous, limits.motion)
        self.fix = fix
        moment.t_ms, moment.hits, moment.crossed, moment.last_fix = fix.t_ms, hits, crossed, fix
        for crossing in crossed:
            self._tell_crossing(crossing, moment)
        for item in told:
            self._tell_motion(item, moment)
        stay = self.motion.stay
        if self.motion.phase == "parked" and stay is not None:
            self.stay_fences = tuple(
                fence.id
                for fence, number in ((index.fences[number], number) for number, _ in hits)
                if fence.category in RISK_CATEGORIES
                and fence.in_force(fix.t_ms)
                and index.contains(number, stay.lon, stay.lat)
            )
        elif self.motion.phase != "departing":
            self.stay_fences = ()

    def _hits(self, fix: Fix) -> Hits:
        index = self.context.fences
        own = [
            (0, number)
            for fence_id in self.own
            if (number := index.active(fence_id, fix.t_ms)) is not None
            and index.fences[number].scope == "vehicle"
        ]
        return index.locate(np.array([fix.lon]), np.array([fix.lat]), own)[0]

    def _pass(
        self, previous: Fix, fix: Fix, sight: Sight | None, members_before: dict[str, Any], moment: Moment
    ) -> None:
        index, limits = self.context.fences, self.context.thresholds.crossing
        if sight is not None and sight.before == previous:
            reach, candidates = sight.reach, sight.candidates
        else:
            reach = reach_m(previous, fix, limits)
            if reach is not None:
                candidates = index.boxes_touched(*np.array([reach_box(previous, fix, reach)]).T)[0]
        if reach is None or not candidates:
            return
        around = members_before if members_before is self.members else {**members_before, **self.members}
        horizon_ms = fix.t_ms - limits.pass_repeat_s * 1000
        told = {key: t_ms for key, t_ms in self.passed.items() if t_ms > horizon_ms}
        for passed in passes(candidates, previous, fix, reach, around, index, limits):
            key = f"{passed.event[5:9]}\x1f{passed.fence.id}"
            if key in told:
                continue
            told[key] = passed.event_ms
            self.findings.append(
                Finding(
                    vehicle_id=self.facts.vehicle_id,
                    device_id=fix.device_id,
                    rule="FENCE",
                    scope=passed.fence.id,
                    event=passed.event,
                    event_ms=passed.event_ms,
                    detected_ms=moment.detected_ms,
                    episode_ms=passed.event_ms,
                    lat=fix.lat,
                    lon=fix.lon,
                    evidence={
                        "fence_version": passed.fence.version,
                        "category": passed.fence.category,
                        "name": passed.fence.name,
                        "between_ms": [previous.t_ms, fix.t_ms],
                        **passed.evidence,
                    },
                )
            )
        # A dense district must not swell the state: the oldest are forgotten first, and may be told again.
        self.passed = dict(list(told.items())[-PASSES_KEPT:])

    # ------------------------------------------------------------------------------- telling

    def _tell_crossing(self, crossed: Crossed, moment: Moment) -> None:
        lat, lon = crossed.evidence.pop("lat", None), crossed.evidence.pop("lon", None)
        self.findings.append(
            Finding(
                vehicle_id=self.facts.vehicle_id,
                device_id=moment.device_id,
                rule="FENCE",
                scope=crossed.fence.id,
                event=crossed.event,
                event_ms=crossed.event_ms,
                detected_ms=moment.detected_ms,
                episode_ms=crossed.event_ms if crossed.event == "enter" else crossed.since_ms,
                lat=lat,
                lon=lon,
                evidence=crossed.evidence,
            )
        )

    def _tell_motion(self, told: Told, moment: Moment) -> None:
        self.findings.append(
            Finding(
                vehicle_id=self.facts.vehicle_id,
                device_id=moment.device_id,
                rule=told.rule,
                event=told.event,
                event_ms=told.event_ms,
                detected_ms=moment.detected_ms,
                episode_ms=told.episode_ms,
                lat=round(told.lat, 6),
                lon=round(told.lon, 6),
                evidence=told.evidence,
            )
        )

    # ------------------------------------------------------------------------------- rules

    def _judge_vehicle(self, moment: Moment, fix: Fix | None) -> None:
        moment.fix, moment.motion, moment.members = fix, self.motion, self.members
        moment.stay_fences, moment.ignition_seen, moment.last_fix = (
            self.stay_fences,
            self.ignition_seen,
            self.fix,
        )
        if fix is None:
            moment.hits, moment.crossed = [], []
        else:
            moment.t_ms = fix.t_ms
        for slot, judge in VEHICLE_RULES:
            before = self.slots[slot]
            after, found = judge(before, moment)
            if after is not before:
                self.slots[slot] = after
            if found:
                self.findings.extend(found)

    def _judge_device(self, moment: Moment, device: OpenDevice) -> None:
        moment.motion, moment.members, moment.last_fix = self.motion, self.members, self.fix
        for slot, judge in DEVICE_RULES:
            before = getattr(device, slot)
            after, found = judge(before, moment)
            if after is not before:
                setattr(device, slot, after)
            if found:
                self.findings.extend(found)

    # ------------------------------------------------------------------------------- devices

    def _open(self, device_id: str) -> Any:
        known = self.devices.get(device_id)
        if not isinstance(known, OpenDevice):
            known = OpenDevice(known or DeviceState())
            self.devices[device_id] = known
        return known

    def _now(self, t_ms: int, device_id: str, device: Any) -> Moment:
        moment = self.moment
        moment.t_ms = moment.detected_ms = t_ms
        moment.device_id, moment.device = device_id, device
        moment.device_facts = bound_devices(self.facts, device_id) or DeviceFacts(device_id=device_id)
        moment.report = moment.mark = moment.fix = None
        moment.undated = False
        moment.last_fix = self.fix
        moment.members, moment.motion = self.members, self.motion
        return moment

    def _leads(self, fix: Fix, device: Any) -> bool:
        """Return whether this device's fixes move the vehicle: wired before wireless, then the leader."""
        if len(self.devices) == 1 or self.fix is None:
            return True
        recent_ms = fix.t_ms - self.context.thresholds.quality.lead_silent_s * 1000
        mine = self._rank(fix.device_id)
        leader = (self.held or self.fix).device_id
        for device_id, other in self.devices.items():
            if device_id == fix.device_id or other.fix_ms <= recent_ms:
                continue
            rank = self._rank(device_id)
            if rank < mine or (rank == mine and device_id == leader):
                return False
        return True

    def _rank(self, device_id: str) -> int:
        facts = bound_devices(self.facts, device_id)
        return 1 if facts is None or facts.power == "wireless" else 0
