"""EXTERNAL_POWER_CUT 断电 (B-01): the vehicle no longer feeds the device.

Evidence is the alarm bit, a supply below 5 V, or ``ext_power_ok`` false. It is believed when

* a second report says it too: at once if the alarm bit was set, else after 60 s of event time;
* 60 s pass after an alarm bit and no report denies it;
* the next expected report does not come (a silence mark of level 0), because a tracker whose
  supply is cut may say so once and die.

A report with a good supply first means a crank sag or a loose wire: nothing is raised.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from msgspec.structs import replace

from core.domain.finding import Finding, Severity
from core.domain.report import Report
from geofence.rules.moment import NOTHING, Moment, Rule
from geofence.rules.signals import MARK, REPORT, SUPPLY_CUT
from geofence.state import PowerState
from geofence.thresholds import PowerThresholds

NAME = "EXTERNAL_POWER_CUT"


def judge(  # noqa: PLR0911 - one return per outcome
    before: PowerState | None, moment: Moment
) -> tuple[PowerState | None, Sequence[Finding]]:
    """Debounce, raise, and clear once the supply has been back for ten minutes."""
    limits = moment.thresholds.power
    if moment.mark is not None:
        if before is None or before.raised_ms is not None:
            return before, NOTHING
        return _raise(before, moment, limits, "silence")
    report = moment.report
    if report is None:
        return before, NOTHING
    says = _supply(report, limits)
    if before is None:
        if says != "cut":
            return None, NOTHING
        return PowerState(moment.t_ms, "power_cut" in report.alarms, volts=report.ext_power_v), NOTHING
    if says == "good":
        return _good(before, moment, limits)
    if before.raised_ms is not None:
        return (
            replace(before, restored_ms=None) if says == "cut" and before.restored_ms else before
        ), NOTHING
    waited = moment.t_ms - before.cut_ms >= limits.debounce_s * 1000
    if says == "cut":
        alarm = before.by_alarm or "power_cut" in report.alarms
        before = PowerState(
            before.cut_ms,
            alarm,
            before.reports + 1,
            volts=before.volts if report.ext_power_v is None else report.ext_power_v,
        )
        return _raise(before, moment, limits, "reports") if alarm or waited else (before, NOTHING)
    return _raise(before, moment, limits, "not denied") if before.by_alarm and waited else (before, NOTHING)


def _supply(report: Report, limits: PowerThresholds) -> Literal["cut", "good", "unsaid"]:
    volts = report.ext_power_v
    if "power_cut" in report.alarms or report.ext_power_ok is False:
        return "cut"
    if volts is not None:
        return "cut" if volts < limits.cut_below_v else "good"
    return "good" if report.ext_power_ok else "unsaid"


def _good(
    before: PowerState, moment: Moment, limits: PowerThresholds
) -> tuple[PowerState | None, Sequence[Finding]]:
    if before.raised_ms is None:
        return None, NOTHING
    if before.restored_ms is None:
        return replace(before, restored_ms=moment.t_ms), NOTHING
    clear_ms = before.restored_ms + limits.restored_s * 1000
    if moment.t_ms < clear_ms:
        return before, NOTHING
    return None, (
        moment.finding(
            NAME,
            "clear",
            clear_ms,
            scope=moment.device_id,
            episode_ms=before.raised_ms,
            device=True,
            restored_ms=before.restored_ms,
        ),
    )


def _raise(
    before: PowerState, moment: Moment, limits: PowerThresholds, confirmed_by: str
) -> tuple[PowerState, Sequence[Finding]]:
    after = replace(before, raised_ms=before.cut_ms)
    if moment.in_service(before.cut_ms):
        return after, NOTHING
    night, risk = moment.is_night(before.cut_ms), moment.risk_fences()
    found = moment.finding(
        NAME,
        "raise",
        before.cut_ms,
        scope=moment.device_id,
        device=True,
        limits=limits,
        severity=Severity.P2.raised(1 if night or risk else 0),
        confirmed_by=confirmed_by,
        alarm=before.by_alarm,
        ext_power_v=before.volts,
        reports=before.reports,
        reports_ms=[before.cut_ms, moment.t_ms],
        night=night,
        risk_fences=risk,
    )
    return after, (found,)


RULE = Rule(
    name=NAME,
    code="B-01",
    title="External power cut 断电",
    subject="device",
    slot="power",
    limits="power",
    severity=Severity.P2,
    clears="supply back for 10 minutes",
    wakes=SUPPLY_CUT,
    follows=REPORT | MARK,
    judge=judge,
)
