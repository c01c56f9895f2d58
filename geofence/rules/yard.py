"""LEFT_ALLOWED_REGION for a vehicle in possession (质押, or in the lender's yard): leaving is P1 at once.

The confirmed exit from a yard fence raises, without buffer or delay. A vehicle that was never
seen inside raises at its second fix beyond every yard.
"""

from __future__ import annotations

from collections.abc import Sequence

from msgspec.structs import replace

from core.domain.finding import Finding, Severity
from geofence.crossing import Crossed, band_m
from geofence.domain import VehicleFacts
from geofence.rules.moment import NOTHING, Moment, Rule
from geofence.rules.region import NAME
from geofence.rules.signals import FIX, OUT_OF_YARD
from geofence.state import RegionState

CONFIRM_FIXES = 2


def watched_yards(facts: VehicleFacts) -> tuple[str, ...]:
    """Return the yards that a vehicle must not leave: none unless it is in possession."""
    held = facts.collateral_form == "pledge" or facts.custody == "lender_yard"
    return facts.yard_fence_ids if held else ()


def judge(before: RegionState | None, moment: Moment) -> tuple[RegionState | None, Sequence[Finding]]:
    """Follow confirmed crossings of the yards."""
    yards = watched_yards(moment.facts)
    if moment.fix is None or not yards:
        return before, NOTHING
    inside = [y for y in yards if y in moment.members and moment.members[y].inside]
    raised_ms = before.raised_ms if before else None
    if inside:
        if before is None or raised_ms is None:
            return None, NOTHING
        entered = [c for c in moment.crossed if c.event == "enter" and c.fence.id == inside[0]]
        back_ms = entered[-1].event_ms if entered else moment.t_ms
        found = moment.finding(
            NAME,
            "clear",
            max(back_ms, raised_ms),
            scope=before.fence_id,
            episode_ms=raised_ms,
            inside=inside[0],
        )
        return None, (found,)
    if raised_ms is not None:
        return before, NOTHING
    left = [c for c in moment.crossed if c.event == "exit" and c.fence.id in yards]
    if left:
        return _raise(RegionState(left[-1].fence.id), moment, left[-1].event_ms, left[-1])
    return _never_inside(before, moment)


def _never_inside(before: RegionState | None, moment: Moment) -> tuple[RegionState | None, Sequence[Finding]]:
    index, fix, yards = moment.context.fences, moment.fix, moment.facts.yard_fence_ids
    if fix is None or not any(index.active(yard, fix.t_ms) is not None for yard in yards):
        return before, NOTHING
    for number, distance in moment.hits:
        fence = index.fences[number]
        if fence.id in yards and distance <= band_m(
            fence, index.inradius_m[number], fix, moment.thresholds.crossing
        ):
            return None, NOTHING
    state = RegionState(yards[0], fix.t_ms, 1) if before is None else replace(before, fixes=before.fixes + 1)
    if state.fixes < CONFIRM_FIXES or state.out_ms is None:
        return state, NOTHING
    return _raise(state, moment, state.out_ms, None)


def _raise(
    state: RegionState, moment: Moment, event_ms: int, crossed: Crossed | None
) -> tuple[RegionState, Sequence[Finding]]:
    after = replace(state, raised_ms=event_ms)
    if moment.in_service(event_ms):
        return after, NOTHING
    number = moment.context.fences.active(state.fence_id, moment.t_ms)
    found = moment.finding(
        NAME,
        "raise",
        event_ms,
        scope=state.fence_id,
        severity=Severity.P1,
        limits=moment.thresholds.crossing,
        in_possession=True,
        seen_inside=crossed is not None,
        collateral_form=moment.facts.collateral_form,
        custody=moment.facts.custody,
        crossing=crossed.evidence if crossed else None,
        fence_version=None if number is None else moment.context.fences.fences[number].version,
        reports_ms=[event_ms, moment.t_ms],
    )
    return after, (found,)


RULE = Rule(
    name=NAME,
    code="D-04",
    title="Left the yard 质押车辆离场",
    subject="vehicle",
    slot="yard",
    limits="crossing",
    severity=Severity.P1,
    clears="back in a yard",
    wakes=OUT_OF_YARD,
    follows=FIX,
    judge=judge,
)
