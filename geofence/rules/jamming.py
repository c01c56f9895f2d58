"""GNSS_JAMMING 信号屏蔽/干扰 (A-04): the device says so, or satellites and radio fall together.

Inferred only while the ignition is on and both signals fell within a minute and stay low for a
minute: satellites alone fall in every garage.
"""

from __future__ import annotations

from collections.abc import Sequence

from core.domain.finding import Finding, Severity
from core.domain.report import Report
from geofence.rules.moment import NOTHING, Moment, Rule
from geofence.rules.signals import JAMMED, REPORT, SATELLITES
from geofence.state import JammingState
from geofence.thresholds import JammingThresholds

NAME = "GNSS_JAMMING"
QUIET = JammingState()


def judge(  # noqa: PLR0911 - one return per outcome
    before: JammingState | None, moment: Moment
) -> tuple[JammingState | None, Sequence[Finding]]:
    """Raise on the flag or the double drop; clear after ten minutes of good fixes without the flag."""
    report, limits = moment.report, moment.thresholds.jamming
    if report is None or moment.mark is not None:
        return before, NOTHING
    flagged = "jamming" in report.alarms
    if before is not None and before.raised_ms is not None:
        return _while_open(before, report, moment, limits, flagged=flagged)
    if flagged:
        return _raise(before or QUIET, moment, moment.t_ms, "flag", report, limits)
    sat = report.sat
    if sat is None:
        return before, NOTHING
    if sat >= limits.satellites_before:
        return JammingState(moment.t_ms, sat, report.rssi_dbm), NOTHING
    if before is None or sat > limits.satellites_after or report.ignition is not True:
        return (
            None if before is None else JammingState(before.good_ms, before.good_sat, before.good_rssi_dbm)
        ), NOTHING
    if before.low_ms is None:
        if not _fell(before, report, moment, limits):
            return before, NOTHING
        low = JammingState(before.good_ms, before.good_sat, before.good_rssi_dbm, moment.t_ms)
        return low, NOTHING
    if moment.t_ms - before.low_ms < limits.hold_s * 1000:
        return before, NOTHING
    return _raise(before, moment, before.low_ms, "satellites and radio fell together", report, limits)


def _fell(before: JammingState, report: Report, moment: Moment, limits: JammingThresholds) -> bool:
    if before.good_ms is None or before.good_rssi_dbm is None or report.rssi_dbm is None:
        return False
    in_time = moment.t_ms - before.good_ms <= limits.window_s * 1000
    return in_time and before.good_rssi_dbm - report.rssi_dbm >= limits.rssi_drop_db


def _while_open(
    before: JammingState, report: Report, moment: Moment, limits: JammingThresholds, *, flagged: bool
) -> tuple[JammingState | None, Sequence[Finding]]:
    t_ms = moment.t_ms
    low = report.sat is not None and report.sat <= limits.satellites_after
    if flagged or low or not report.has_position:
        last_ms = t_ms if flagged or low else before.last_ms
        return JammingState(
            before.good_ms, before.good_sat, before.good_rssi_dbm, None, before.raised_ms, last_ms, None
        ), NOTHING
    if before.fine_ms is None:
        return JammingState(
            before.good_ms,
            before.good_sat,
            before.good_rssi_dbm,
            None,
            before.raised_ms,
            before.last_ms,
            t_ms,
        ), NOTHING
    clear_ms = before.fine_ms + limits.clear_s * 1000
    if t_ms < clear_ms:
        return before, NOTHING
    found = moment.finding(
        NAME,
        "clear",
        clear_ms,
        scope=moment.device_id,
        episode_ms=before.raised_ms,
        device=True,
        fine_since_ms=before.fine_ms,
    )
    return None, (found,)


def _raise(
    before: JammingState, moment: Moment, event_ms: int, why: str, report: Report, limits: JammingThresholds
) -> tuple[JammingState, Sequence[Finding]]:
    after = JammingState(
        before.good_ms, before.good_sat, before.good_rssi_dbm, None, event_ms, moment.t_ms, None
    )
    if moment.in_service(event_ms):
        return after, NOTHING
    found = moment.finding(
        NAME,
        "raise",
        event_ms,
        scope=moment.device_id,
        severity=Severity.P1,
        device=True,
        limits=limits,
        why=why,
        satellites=report.sat,
        satellites_before=before.good_sat or None,
        rssi_dbm=report.rssi_dbm,
        rssi_before_dbm=before.good_rssi_dbm,
        reports_ms=[event_ms, moment.t_ms],
    )
    return after, (found,)


RULE = Rule(
    name=NAME,
    code="A-04",
    title="GNSS jamming 信号屏蔽/干扰",
    subject="device",
    slot="jamming",
    limits="jamming",
    severity=Severity.P1,
    clears="flag off and valid fixes for 10 minutes",
    wakes=JAMMED | SATELLITES,
    follows=REPORT,
    judge=judge,
)
