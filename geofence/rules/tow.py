"""TOW_SUSPECTED 疑似拖车 (C-01): the vehicle moves while its ignition is off.

Armed after five minutes off, with the place it stood at. Fires when two fixes in a row lie over
200 m away, or it does over 20 km/h for two minutes, or the device says tow. A vehicle whose
ignition was never seen on has no trustworthy ignition wire: only the device's own flag counts.
"""

from __future__ import annotations

from collections.abc import Sequence

from msgspec.structs import replace

from core.domain.finding import Finding, Severity
from core.geo.distance import at_most_m, haversine_m
from geofence.rules.moment import NOTHING, Moment, Rule
from geofence.rules.signals import FIX, IGNITION_OFF, REPORT, TOWED
from geofence.state import Fix, TowState
from geofence.thresholds import TowThresholds

NAME = "TOW_SUSPECTED"
ANCHOR_FIXES = 2


def judge(before: TowState | None, moment: Moment) -> tuple[TowState | None, Sequence[Finding]]:
    """Follow the ignition, then the displacement."""
    state, report = before, moment.report
    if report is not None and report.ignition is not None:
        if report.ignition:
            return _ignition_on(state, moment)
        if state is None:
            state = TowState(off_ms=moment.t_ms)
        elif state.off_ms is None:
            state = replace(state, off_ms=moment.t_ms)
    if report is not None and "tow" in report.alarms and (state is None or state.raised_ms is None):
        return _raise(state or TowState(), moment, moment.t_ms, "flag", None)
    fix = moment.fix
    if state is None or fix is None:
        return state, NOTHING
    if state.raised_ms is not None:
        return _while_open(state, moment)
    if state.off_ms is None:
        return state, NOTHING
    return _follow(state, fix, moment)


def _ignition_on(before: TowState | None, moment: Moment) -> tuple[TowState | None, Sequence[Finding]]:
    if before is None or before.raised_ms is None:
        return None, NOTHING
    return None, (_clear(before.raised_ms, moment, moment.t_ms, "ignition on"),)


def _while_open(before: TowState, moment: Moment) -> tuple[TowState, Sequence[Finding]]:
    stay, raised_ms = moment.motion.stay, before.raised_ms
    if raised_ms is None or moment.motion.phase != "parked" or stay is None:
        return before, NOTHING
    clear_ms = max(stay.start_ms, raised_ms) + moment.thresholds.tow.parked_clear_s * 1000
    if moment.t_ms < clear_ms:
        return before, NOTHING
    # Still without ignition: armed again where it was set down.
    again = TowState(off_ms=before.off_ms, lat=stay.lat, lon=stay.lon, anchor_fixes=ANCHOR_FIXES)
    return again, (_clear(raised_ms, moment, clear_ms, "parked"),)


def _follow(state: TowState, fix: Fix, moment: Moment) -> tuple[TowState, Sequence[Finding]]:
    limits = moment.thresholds.tow
    state = _settled(state, fix, moment)
    if state.lat is None or state.lon is None or state.off_ms is None or state.anchor_fixes < ANCHOR_FIXES:
        return state, NOTHING
    if fix.t_ms - state.off_ms < limits.arm_s * 1000:
        return state, NOTHING
    fast = fix.speed_kmh is not None and fix.speed_kmh > limits.speed_kmh
    at_hand = at_most_m(state.lat, state.lon, fix.lat, fix.lon) <= limits.displacement_m
    if at_hand and not fast and not state.far_fixes and state.fast_ms is None:
        return state, NOTHING  # most fixes of a parked vehicle
    away_m = haversine_m(state.lat, state.lon, fix.lat, fix.lon)
    far = away_m > limits.displacement_m
    after = state
    if far or state.far_fixes:
        after = replace(
            after,
            far_ms=(state.far_ms or fix.t_ms) if far else None,
            far_fixes=state.far_fixes + 1 if far else 0,
        )
    if fast or state.fast_ms is not None:
        after = replace(after, fast_ms=(state.fast_ms or fix.t_ms) if fast else None)
    if not moment.ignition_seen:
        return after, NOTHING
    if far and after.far_fixes >= limits.confirm_fixes and after.far_ms is not None:
        return _raise(after, moment, after.far_ms, "displacement", away_m)
    if after.fast_ms is not None and fix.t_ms - after.fast_ms >= limits.speed_s * 1000:
        return _raise(after, moment, after.fast_ms, "speed", away_m)
    return after, NOTHING


def _settled(state: TowState, fix: Fix, moment: Moment) -> TowState:
    """Return the state with the place the vehicle was left at: the stay's centre, else two fixes that agree.

    One fix is not enough: it may be a reflection from across the street, and then the next true one is far.
    """
    stay = moment.motion.stay if moment.motion.phase == "parked" else None
    if stay is not None and state.far_ms is None:
        if state.lat == stay.lat and state.lon == stay.lon and state.anchor_fixes == ANCHOR_FIXES:
            return state
        return TowState(
            state.off_ms,
            stay.lat,
            stay.lon,
            None,
            state.far_fixes,
            state.fast_ms,
            state.raised_ms,
            ANCHOR_FIXES,
        )
    if state.anchor_fixes >= ANCHOR_FIXES:
        return state
    if state.lat is not None and state.lon is not None:
        near_m = moment.thresholds.motion.stay_radius_m
        if haversine_m(state.lat, state.lon, fix.lat, fix.lon) <= near_m:
            return replace(state, anchor_fixes=state.anchor_fixes + 1)
    return replace(state, lat=fix.lat, lon=fix.lon, anchor_fixes=1)


def _raise(
    state: TowState, moment: Moment, event_ms: int, why: str, away_m: float | None
) -> tuple[TowState, Sequence[Finding]]:
    after = replace(state, raised_ms=event_ms, far_ms=None, far_fixes=0, fast_ms=None)
    if moment.in_service(event_ms):
        return after, NOTHING
    limits: TowThresholds = moment.thresholds.tow
    fix = moment.fix or moment.last_fix
    found = moment.finding(
        NAME,
        "raise",
        event_ms,
        scope="",
        severity=Severity.P1,
        limits=limits,
        why=why,
        displacement_m=None if away_m is None else round(away_m),
        ignition_off_ms=state.off_ms,
        speed_kmh=fix.speed_kmh if fix else None,
        anchor=[state.lat, state.lon],
        reports_ms=[event_ms, moment.t_ms],
    )
    return after, (found,)


def _clear(raised_ms: int, moment: Moment, event_ms: int, why: str) -> Finding:
    return moment.finding(NAME, "clear", event_ms, scope="", episode_ms=raised_ms, why=why)


RULE = Rule(
    name=NAME,
    code="C-01",
    title="Tow suspected 疑似拖车",
    subject="vehicle",
    slot="tow",
    limits="tow",
    severity=Severity.P1,
    clears="ignition on, or parked for 10 minutes",
    wakes=IGNITION_OFF | TOWED,
    follows=REPORT | FIX,
    judge=judge,
)
