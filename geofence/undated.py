"""Alarm bits of a report without a plausible time: judged at its receipt, apart from the order."""

from __future__ import annotations

from core.domain.finding import Finding, Severity
from core.domain.report import Report
from geofence.rules import RULES
from geofence.rules.moment import Moment
from geofence.state import Undated

UNDATED_RULES = {
    "power_cut": "EXTERNAL_POWER_CUT",
    "removal": "DEVICE_REMOVED",
    "shell_open": "DEVICE_REMOVED",
    "unplug": "DEVICE_REMOVED",
    "jamming": "GNSS_JAMMING",
    "tow": "TOW_SUSPECTED",
}
UNDATED_REPEAT_S = 3600
_SEVERITY = {rule.name: rule.severity for rule in RULES if rule.slot != "yard"}


def undated_key(report: Report) -> tuple[int, int, int]:
    """Return the place of an undated report among those of its device."""
    return (report.t_ms, report.boot_id, report.seq)


def judge_undated(seen: Undated, report: Report, moment: Moment) -> tuple[Undated, list[Finding]]:
    """Raise what the alarms say, each rule at most once an hour and never during authorised work."""
    raised, findings = dict(seen.raised), []
    for rule in sorted({UNDATED_RULES[word] for word in report.alarms if word in UNDATED_RULES}):
        last_ms = raised.get(rule)
        if last_ms is not None and report.t_ms - last_ms < UNDATED_REPEAT_S * 1000:
            continue
        if moment.in_service(report.t_ms):
            continue
        raised[rule] = report.t_ms
        on_vehicle = rule == "TOW_SUSPECTED"
        findings.append(
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
    return Undated(undated_key(report), raised), findings
