"""What a rule sees, and what a rule is."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any, Literal

import msgspec

from core.domain.finding import Finding, Severity
from core.domain.report import Report
from geofence.crossing import Crossed
from geofence.devices import bound_devices
from geofence.domain import DeviceFacts, TimeMark, VehicleFacts
from geofence.fence import RISK_CATEGORIES
from geofence.index import Context, Hits
from geofence.state import DeviceState, Fix, Member, Motion
from geofence.thresholds import Thresholds

Judge = Callable[[Any, "Moment"], tuple[Any, Sequence[Finding]]]
NOTHING: tuple[Finding, ...] = ()


class Rule(msgspec.Struct, frozen=True, kw_only=True):
    """One line of the catalogue (reference/telematics.md (c)) and the function that judges it.

    ``judge(before, moment) -> (after, findings)`` is pure; ``slot`` names the part of the device's
    or vehicle's state that it alone writes, ``limits`` its thresholds. What its findings mean as work
    (latched, raised by what is owed) is in alerts/domain.py: ``RULE_POLICIES``.

    ``wakes`` are the signals (rules/signals.py) at which it must look while its slot is empty,
    ``follows`` those while the slot holds something; at any other input it would change and find nothing.
    """

    name: str
    code: str
    title: str
    subject: Literal["device", "vehicle"]
    slot: str
    limits: str
    severity: Severity
    clears: str
    wakes: int
    follows: int
    judge: Judge


class Moment:
    """One input and the state around it, after fences and motion have moved. Rules only read it.

    One moment serves all inputs of a call, one after the other: a rule must not keep it.
    """

    __slots__ = (
        "context",
        "crossed",
        "detected_ms",
        "device",
        "device_id",
        "facts",
        "fix",
        "hits",
        "ignition_seen",
        "last_fix",
        "mark",
        "members",
        "motion",
        "report",
        "stay_fences",
        "t_ms",
        "thresholds",
        "undated",
    )

    def __init__(self, context: Context) -> None:
        self.facts = VehicleFacts(vehicle_id="")
        self.context = context
        self.thresholds: Thresholds = context.thresholds
        self.t_ms = 0
        self.detected_ms = 0
        self.report: Report | None = None
        self.mark: TimeMark | None = None
        self.fix: Fix | None = None
        self.hits: Hits = ()
        self.crossed: Sequence[Crossed] = ()
        self.undated = False
        self.ignition_seen = False
        self.device_id = ""
        self.device: DeviceView = DeviceState()
        self.last_fix: Fix | None = None
        self.motion: Motion = Motion()
        self.members: dict[str, Member] = {}
        self.stay_fences: tuple[str, ...] = ()

    @property
    def device_facts(self) -> DeviceFacts:
        """Return what the registry knows of the device."""
        return bound_devices(self.facts, self.device_id) or DeviceFacts(device_id=self.device_id)

    @property
    def parked(self) -> bool:
        """Whether the vehicle stands."""
        return self.motion.phase in {"parked", "departing"}

    def in_service(self, t_ms: int) -> bool:
        """Return whether authorised work on the vehicle was under way at a moment."""
        return any(start <= t_ms < end for start, end in self.facts.service_windows_ms)

    def is_night(self, t_ms: int) -> bool:
        """Return whether a moment is at night where the vehicles live."""
        hour = datetime.fromtimestamp(t_ms / 1000.0, tz=UTC).astimezone(self.context.zone()).hour
        start, end = self.thresholds.night_from_h, self.thresholds.night_to_h
        return hour >= start or hour < end if start > end else start <= hour < end

    def risk_fences(self) -> list[str]:
        """Return the ids of risk fences that the vehicle is in."""
        inside = []
        for fence_id, member in self.members.items():
            number = self.context.fences.active(fence_id, self.t_ms)
            if not member.inside or number is None:
                continue
            if self.context.fences.fences[number].category in RISK_CATEGORIES:
                inside.append(fence_id)
        return inside

    def finding(
        self,
        rule: str,
        event: str,
        event_ms: int,
        *,
        scope: str,
        severity: Severity | None = None,
        episode_ms: int | None = None,
        device: bool = False,
        limits: msgspec.Struct | None = None,
        lat: float | None = None,
        lon: float | None = None,
        **evidence: Any,
    ) -> Finding:
        """Return a finding of this moment, with what it was judged by."""
        at = self.last_fix
        if lat is None and at is not None:
            lat, lon = at.lat, at.lon
        evidence["rule_version"] = self.thresholds.version
        if limits is not None:
            evidence["thresholds"] = msgspec.to_builtins(limits)
        if self.mark is not None:
            evidence["mark"] = {
                "kind": self.mark.kind.value,
                "since_ms": self.mark.since_ms,
                "level": self.mark.level,
            }
        if self.undated:
            evidence["undated"] = True
        return Finding(
            vehicle_id=self.facts.vehicle_id,
            device_id=self.device_id if device else None,
            rule=rule,
            scope=scope,
            event=event,
            event_ms=event_ms,
            detected_ms=self.detected_ms,
            episode_ms=event_ms if episode_ms is None else episode_ms,
            lat=lat,
            lon=lon,
            severity=severity,
            evidence=evidence,
        )


DeviceView = Any
"""A DeviceState, or the engine's open copy of one: the same attributes."""
