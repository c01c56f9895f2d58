"""DEVICE_REMOVED 拆除/光感, 拆壳, 拔出 (B-02, B-03): somebody took the device off.

Opened shell and pulled plug fire at once. A removal (light) flag alone can be a torch or a door:
it needs a second flag, movement or vibration within five minutes, or that the device falls silent.
Latched; a flag after an hour without one is a new occurrence.
"""

from __future__ import annotations

from collections.abc import Sequence

from core.domain.finding import Finding, Severity
from core.domain.report import Report
from geofence.rules.moment import NOTHING, Moment, Rule
from geofence.rules.signals import MARK, REPORT, TAMPERED
from geofence.state import RemovedState

NAME = "DEVICE_REMOVED"
WORDS = frozenset({"removal", "shell_open", "unplug"})
CERTAIN = frozenset({"shell_open", "unplug"})
STIRS = frozenset({"vibration", "displacement", "tow"})


def stirs(report: Report) -> bool:
    """Return whether a report shows that the device itself is being handled or moved."""
    return report.motion is True or not STIRS.isdisjoint(report.alarms)


def judge(  # noqa: PLR0911 - one return per outcome
    before: RemovedState | None, moment: Moment
) -> tuple[RemovedState | None, Sequence[Finding]]:
    """Raise once per occurrence, as soon as the flag is believed."""
    limits = moment.thresholds.removed
    window_ms = limits.confirm_window_s * 1000
    if moment.mark is not None:
        if before is None or before.raised_ms is not None:
            return before, NOTHING
        return _raise(before, moment, "silence")
    report = moment.report
    if report is None:
        return before, NOTHING
    words = WORDS.intersection(report.alarms)
    if not words:
        pending = before is not None and before.raised_ms is None
        if before is None or not pending:
            return before, NOTHING
        if moment.t_ms - before.first_ms > window_ms:
            return None, NOTHING  # one flash of light and then calm
        return _raise(before, moment, "movement") if stirs(report) else (before, NOTHING)
    t_ms = moment.t_ms
    if before is None or (
        before.raised_ms is not None and t_ms - before.last_ms >= limits.again_after_s * 1000
    ):
        after = RemovedState(t_ms, t_ms, tuple(sorted(words)))
        certain = not CERTAIN.isdisjoint(words)
        if certain or stirs(report) or t_ms - moment.device.stirred_ms <= window_ms:
            return _raise(after, moment, "certain flag" if certain else "movement")
        return after, NOTHING
    after = RemovedState(t_ms, before.first_ms, tuple(sorted(words.union(before.words))), before.raised_ms)
    return (after, NOTHING) if before.raised_ms is not None else _raise(after, moment, "second flag")


def _raise(state: RemovedState, moment: Moment, confirmed_by: str) -> tuple[RemovedState, Sequence[Finding]]:
    limits = moment.thresholds.removed
    after = RemovedState(state.last_ms, state.first_ms, state.words, state.first_ms)
    installed_ms = moment.device_facts.installed_ms
    if 0 <= state.first_ms - installed_ms < limits.install_mute_s * 1000 or moment.in_service(state.first_ms):
        return after, NOTHING
    found = moment.finding(
        NAME,
        "raise",
        state.first_ms,
        scope=moment.device_id,
        severity=Severity.P1,
        device=True,
        limits=limits,
        alarms=list(state.words),
        confirmed_by=confirmed_by,
        reports_ms=[state.first_ms, moment.t_ms],
        installed_ms=installed_ms,
    )
    return after, (found,)


RULE = Rule(
    name=NAME,
    code="B-02",
    title="Device removed 拆除/光感",
    subject="device",
    slot="removed",
    limits="removed",
    severity=Severity.P1,
    clears="a person only",
    wakes=TAMPERED,
    follows=REPORT | MARK,
    judge=judge,
)
