"""TAMPER_THEN_DARK 拆除失联 (X-01): cut, removed or jammed, and silent within the hour."""

from __future__ import annotations

from collections.abc import Sequence

from core.domain.finding import Finding, Severity
from geofence.domain import MarkKind
from geofence.rules.moment import NOTHING, Moment, Rule
from geofence.rules.signals import MARK
from geofence.state import DarkState

NAME = "TAMPER_THEN_DARK"


def judge(before: DarkState | None, moment: Moment) -> tuple[DarkState | None, Sequence[Finding]]:
    """Raise on the first time-out of a silence that follows a tamper; latched."""
    mark = moment.mark
    if mark is None or mark.kind is not MarkKind.SILENCE or mark.level < 1:
        return before, NOTHING
    if before is not None and before.since_ms >= mark.since_ms:
        return before, NOTHING
    limits = moment.thresholds.dark
    tampers = {
        rule: t_ms
        for rule, t_ms in _tampers(moment).items()
        if 0 <= mark.since_ms - t_ms <= limits.within_s * 1000 and not moment.in_service(t_ms)
    }
    if not tampers:
        return before, NOTHING
    found = moment.finding(
        NAME,
        "raise",
        mark.due_ms,
        scope=moment.device_id,
        severity=Severity.P1,
        device=True,
        limits=limits,
        tampers_ms=tampers,
        last_report_ms=mark.since_ms,
        reports_ms=[*tampers.values(), mark.since_ms],
    )
    return DarkState(mark.since_ms), (found,)


def _tampers(moment: Moment) -> dict[str, int]:
    """Return the latest moment of each kind of tamper that still holds."""
    device, found = moment.device, dict[str, int]()
    if device.undated is not None:
        found.update(device.undated.raised)
    if device.power is not None and device.power.restored_ms is None:
        found["EXTERNAL_POWER_CUT"] = device.power.cut_ms
    if device.removed is not None and device.removed.raised_ms is not None:
        found["DEVICE_REMOVED"] = device.removed.last_ms
    if device.jamming is not None and device.jamming.raised_ms is not None and device.jamming.fine_ms is None:
        found["GNSS_JAMMING"] = device.jamming.last_ms
    return found


RULE = Rule(
    name=NAME,
    code="X-01",
    title="Tamper then dark 拆除失联",
    subject="device",
    slot="dark",
    limits="dark",
    severity=Severity.P1,
    clears="a person only",
    wakes=MARK,
    follows=MARK,
    judge=judge,
)
