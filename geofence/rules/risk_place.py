"""RISK_PLACE_VISIT 进入二押点/高危区 (D-01): fifteen minutes parked where pledged vehicles are re-pledged.

The stay's centre must lie in a risk fence. The raise is dated stay start + 15 minutes exactly,
whether a report or a dwell mark proved it (``assumed_still_there``); after two hours it is P1.
A night, or a second visit within seven days, is one level more.
"""

from __future__ import annotations

from collections.abc import Sequence

from msgspec.structs import replace

from core.domain.finding import Finding, Severity
from geofence.domain import MarkKind
from geofence.fence import Fence
from geofence.rules.moment import NOTHING, Moment, Rule
from geofence.rules.signals import AT_RISK, FIX, MARK
from geofence.state import RiskVisit
from geofence.thresholds import RiskPlaceThresholds

NAME = "RISK_PLACE_VISIT"
Visits = dict[str, RiskVisit]
_PAST_KEPT = 8


def judge(before: Visits, moment: Moment) -> tuple[Visits, Sequence[Finding]]:
    """Follow the open stay and the places left."""
    mark = moment.mark
    if mark is None and moment.fix is None:
        return before, NOTHING
    if mark is not None and mark.kind is not MarkKind.DWELL:
        return before, NOTHING
    if not before and not moment.stay_fences:
        return before, NOTHING
    visits, found = dict(before), list[Finding]()
    stay = moment.motion.stay if moment.motion.phase == "parked" else None
    staying = moment.stay_fences if stay is not None else ()
    if stay is not None:
        for fence_id in staying:
            number = moment.context.fences.active(fence_id, moment.t_ms)
            if number is not None:
                fence = moment.context.fences.fences[number]
                visits[fence_id] = _stay(visits.get(fence_id), stay.start_ms, fence, moment, found)
    if mark is None and moment.motion.phase != "departing":  # a departure may still turn out to be none
        for fence_id in [f for f in visits if f not in staying]:
            visit = _left(visits[fence_id], fence_id, moment, found)
            if visit is None:
                del visits[fence_id]
            else:
                visits[fence_id] = visit
    return (before if visits == before else visits), found


def raise_at_ms(
    visit: RiskVisit | None, stay_ms: int, fence: Fence, limits: RiskPlaceThresholds
) -> int | None:
    """Return when the stay becomes, or becomes more of, a risk; None when all has been said."""
    start_ms = max(stay_ms, fence.valid_from_ms)
    if visit is None or visit.raised_ms is None:
        return start_ms + (fence.dwell_s or limits.stay_s) * 1000
    return None if visit.long_told else max(visit.stay_ms, fence.valid_from_ms) + limits.long_stay_s * 1000


def _stay(
    visit: RiskVisit | None, stay_ms: int, fence: Fence, moment: Moment, found: list[Finding]
) -> RiskVisit:
    limits = moment.thresholds.risk_place
    if visit is None:
        visit = RiskVisit(stay_ms)
    elif visit.raised_ms is None or visit.left_ms is not None:
        # Back within half an hour: the same visit goes on; otherwise this stay starts the count.
        visit = RiskVisit(
            visit.stay_ms if visit.raised_ms is not None else stay_ms,
            visit.raised_ms,
            visit.long_told,
            None,
            visit.past,
        )
    due_ms = raise_at_ms(visit, stay_ms, fence, limits)
    while due_ms is not None and due_ms <= moment.t_ms:
        visit = _raise(visit, due_ms, fence, moment, found)
        due_ms = raise_at_ms(visit, stay_ms, fence, limits)
    return visit


def _raise(visit: RiskVisit, due_ms: int, fence: Fence, moment: Moment, found: list[Finding]) -> RiskVisit:
    limits, stay = moment.thresholds.risk_place, moment.motion.stay
    long_stay = visit.raised_ms is not None
    past = tuple(t for t in visit.past if due_ms - t <= limits.repeat_window_s * 1000)
    night = moment.is_night(due_ms)
    steps = 2 if long_stay else int(night) + int(bool(past))
    found.append(
        moment.finding(
            NAME,
            "raise",
            due_ms,
            scope=fence.id,
            severity=Severity.P2.raised(steps),
            episode_ms=visit.raised_ms,
            limits=limits,
            category=fence.category,
            name=fence.name,
            fence_version=fence.version,
            stay_start_ms=visit.stay_ms,
            stay_s=(due_ms - visit.stay_ms) // 1000,
            visits_7d=len(past) + 1,
            night=night,
            assumed_still_there=moment.mark is not None,
            radius_m=round(stay.radius_m, 1) if stay else None,
            fixes=stay.fixes if stay else None,
            reports_ms=[visit.stay_ms, stay.last_ms if stay else moment.t_ms],
            lat=stay.lat if stay else None,
            lon=stay.lon if stay else None,
        )
    )
    if long_stay:
        return replace(visit, long_told=True, past=past)
    return replace(visit, raised_ms=due_ms, past=past)


def _left(visit: RiskVisit, fence_id: str, moment: Moment, found: list[Finding]) -> RiskVisit | None:
    limits = moment.thresholds.risk_place
    if visit.raised_ms is None:
        # Not long enough: forgotten, but earlier visits of the week are not.
        past = tuple(t for t in visit.past if moment.t_ms - t <= limits.repeat_window_s * 1000)
        if past == visit.past and visit.left_ms is not None:
            return visit
        return RiskVisit(visit.stay_ms, None, False, moment.t_ms, past) if past else None
    if visit.left_ms is None:
        return replace(visit, left_ms=moment.t_ms)
    clear_ms = visit.left_ms + limits.left_s * 1000
    if moment.t_ms < clear_ms:
        return visit
    found.append(
        moment.finding(
            NAME, "clear", clear_ms, scope=fence_id, episode_ms=visit.raised_ms, left_ms=visit.left_ms
        )
    )
    return RiskVisit(visit.stay_ms, None, False, visit.left_ms, (*visit.past, visit.raised_ms)[-_PAST_KEPT:])


RULE = Rule(
    name=NAME,
    code="D-01",
    title="Risk place visit 进入二押点/高危区",
    subject="vehicle",
    slot="risk",
    limits="risk_place",
    severity=Severity.P2,
    clears="away for 30 minutes",
    wakes=AT_RISK,
    follows=FIX | MARK,
    judge=judge,
)
