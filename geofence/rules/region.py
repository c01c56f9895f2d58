"""LEFT_ALLOWED_REGION 出省/越界 (D-04): beyond the contract's region, 1 km of grace, for long or far.

``region_fence_ids`` is a union: being in one of them is being inside. Two fixes outside, and
either 30 minutes or 10 km. The first fix ever is judged too: a vehicle that starts outside is outside.
"""

from __future__ import annotations

from collections.abc import Sequence

from msgspec.structs import replace

from core.domain.finding import Finding, Severity
from geofence.rules.moment import NOTHING, Moment, Rule
from geofence.rules.signals import FIX, OUT_OF_REGION
from geofence.state import RegionState

NAME = "LEFT_ALLOWED_REGION"


def judge(  # noqa: PLR0911 - one return per outcome
    before: RegionState | None, moment: Moment
) -> tuple[RegionState | None, Sequence[Finding]]:
    """Count time and distance outside."""
    fix = moment.fix
    if fix is None or not moment.facts.region_fence_ids:
        return before, NOTHING
    where = _nearest(moment)
    if where is None:
        return before, NOTHING
    fence_id, distance_m = where
    if distance_m <= 0.0:
        return _inside(before, moment)
    limits = moment.thresholds.region
    if distance_m <= limits.buffer_m:
        if before is None or before.back_ms is None:
            return before, NOTHING
        return replace(before, back_ms=None), NOTHING
    if before is None or before.out_ms is None:
        return RegionState(fence_id, fix.t_ms, 1), NOTHING
    state = replace(before, fixes=before.fixes + 1, back_ms=None)
    outside_ms = fix.t_ms - (state.out_ms or fix.t_ms)
    if state.raised_ms is None:
        if state.fixes < limits.confirm_fixes or (
            outside_ms < limits.outside_s * 1000 and distance_m < limits.outside_m
        ):
            return state, NOTHING
    elif state.serious:
        return state, NOTHING
    serious = outside_ms >= limits.serious_s * 1000 or distance_m >= limits.serious_m
    if state.raised_ms is not None and not serious:
        return state, NOTHING
    return _raise(state, moment, distance_m, outside_ms, serious=serious)


def _nearest(moment: Moment) -> tuple[str, float] | None:
    """Return the nearest allowed fence and the distance to it, or None when none is in force."""
    index, fix = moment.context.fences, moment.fix
    if fix is None:
        return None
    near = {index.fences[number].id: distance for number, distance in moment.hits}
    best: tuple[str, float] | None = None
    far: list[tuple[str, int]] = []
    for fence_id in moment.facts.region_fence_ids:
        number = index.active(fence_id, fix.t_ms)
        if number is None:
            continue
        distance = near.get(fence_id)
        if distance is None:
            far.append((fence_id, number))
        elif best is None or distance < best[1]:
            best = (fence_id, distance)
    if best is not None:  # a near border is nearer than any far one
        return best
    for fence_id, number in far:
        distance = index.signed_distance_m(number, fix.lon, fix.lat)
        if best is None or distance < best[1]:
            best = (fence_id, distance)
    return best


def _inside(before: RegionState | None, moment: Moment) -> tuple[RegionState | None, Sequence[Finding]]:
    if before is None or before.raised_ms is None:
        return None, NOTHING
    if before.back_ms is None:
        return replace(before, back_ms=moment.t_ms), NOTHING
    clear_ms = before.back_ms + moment.thresholds.region.back_s * 1000
    if moment.t_ms < clear_ms:
        return before, NOTHING
    found = moment.finding(
        NAME, "clear", clear_ms, scope=before.fence_id, episode_ms=before.raised_ms, back_ms=before.back_ms
    )
    return None, (found,)


def _raise(
    state: RegionState, moment: Moment, distance_m: float, outside_ms: int, *, serious: bool
) -> tuple[RegionState, Sequence[Finding]]:
    raised_ms = moment.t_ms if state.raised_ms is None else state.raised_ms
    number = moment.context.fences.active(state.fence_id, moment.t_ms)
    found = moment.finding(
        NAME,
        "raise",
        moment.t_ms,
        scope=state.fence_id,
        severity=Severity.P2 if serious else Severity.P3,
        episode_ms=raised_ms,
        limits=moment.thresholds.region,
        distance_m=round(distance_m),
        outside_s=outside_ms // 1000,
        out_since_ms=state.out_ms,
        fixes=state.fixes,
        fence_version=None if number is None else moment.context.fences.fences[number].version,
        reports_ms=[state.out_ms, moment.t_ms],
    )
    return replace(state, raised_ms=raised_ms, serious=serious), (found,)


RULE = Rule(
    name=NAME,
    code="D-04",
    title="Left allowed region 出省/越界",
    subject="vehicle",
    slot="region",
    limits="region",
    severity=Severity.P3,
    clears="back inside for 30 minutes",
    wakes=OUT_OF_REGION,
    follows=FIX,
    judge=judge,
)
