"""DEVICE_OFFLINE 设备离线 (A-01): nothing came for longer than the device's own rhythm allows.

Raised by silence marks alone, one level per time-out; ends with a fix or the second message.
"""

from __future__ import annotations

from collections.abc import Sequence

from core.domain.finding import Finding, Severity
from geofence.domain import MarkKind
from geofence.rules.moment import NOTHING, Moment, Rule
from geofence.rules.signals import MARK, REPORT
from geofence.rules.silence import silence_limits_s
from geofence.state import OfflineState

NAME = "DEVICE_OFFLINE"
LEVELS = (Severity.P3, Severity.P2, Severity.P1)
MESSAGES_TO_RETURN = 2


def judge(before: OfflineState | None, moment: Moment) -> tuple[OfflineState | None, Sequence[Finding]]:
    """Raise on a silence mark, clear on return."""
    mark = moment.mark
    if mark is not None:
        if mark.kind is not MarkKind.SILENCE or mark.level < 1 or (before and before.level >= mark.level):
            return before, NOTHING
        return _raise(before, moment)
    if before is None or moment.report is None:
        return before, NOTHING
    messages = before.messages_since + 1
    if not moment.report.has_position and messages < MESSAGES_TO_RETURN:
        return OfflineState(before.raised_ms, before.level, messages), NOTHING
    return None, (
        moment.finding(
            NAME,
            "clear",
            moment.t_ms,
            scope=moment.device_id,
            episode_ms=before.raised_ms,
            device=True,
            level=before.level,
            messages=messages,
        ),
    )


def _raise(before: OfflineState | None, moment: Moment) -> tuple[OfflineState | None, Sequence[Finding]]:
    mark = moment.mark
    if mark is None:
        return before, NOTHING
    limits = moment.thresholds.offline
    waits = silence_limits_s(moment.device, moment.device_facts, limits, parked=moment.parked)
    level = min(mark.level, len(LEVELS))
    first_ms = mark.due_ms if before is None else before.raised_ms
    found = moment.finding(
        NAME,
        "raise",
        mark.due_ms,
        scope=moment.device_id,
        severity=LEVELS[level - 1],
        episode_ms=first_ms,
        device=True,
        limits=limits,
        level=level,
        silent_s=(mark.due_ms - mark.since_ms) // 1000,
        allowed_s=waits[level - 1],
        mode=moment.device.mode,
        power=moment.device_facts.power,
        next_report_s=moment.device.next_report_s,
        last_report_ms=mark.since_ms,
        motion=moment.motion.phase,
    )
    return OfflineState(first_ms, level), (found,)


RULE = Rule(
    name=NAME,
    code="A-01",
    title="Device offline 设备离线",
    subject="device",
    slot="offline",
    limits="offline",
    severity=Severity.P3,
    clears="one valid fix or two messages",
    wakes=MARK,
    follows=REPORT | MARK,
    judge=judge,
)
