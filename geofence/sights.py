"""What a batch of inputs shows: usable fixes, where they lie among fences, what lies along the way.

The geometry of all vehicles of a call is asked for at once; the engine then takes input by input.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import msgspec
import numpy as np

from core.domain.report import Report
from core.geo.distance import at_most_m, haversine_m
from geofence.domain import TimeMark, VehicleFacts
from geofence.index import Context, Hits
from geofence.passes import STANDING_M, reach_boxes, reach_m
from geofence.quality import usable_fix
from geofence.state import Fix, VehicleState

Input = Report | TimeMark


class Sight(msgspec.Struct, gc=False):
    """A usable fix with what the index said about it and about the way to it.

    ``step_m`` from ``before`` is None where it is too short to matter to anything but motion.
    ``candidates`` are fences within ``reach``, which is None where no chord is drawn.
    """

    fix: Fix
    before: Fix | None
    step_m: float | None = None
    hits: Hits = ()
    reach: float | None = None
    candidates: Sequence[int] = ()


def is_undated(report: Report) -> bool:
    """Return whether a report came without a plausible time and is judged at its receipt, alarms only."""
    t_ms = report.t_ms
    return (
        report.type == "alarm"
        and t_ms == report.received_ms
        and t_ms not in (report.fix_ms, report.device_ms)
    )


def look(
    items: Iterable[tuple[VehicleState, Sequence[Input], VehicleFacts]], context: Context
) -> list[list[Sight | None]]:
    """Screen the fixes of a batch and ask the index about all of them at once."""
    index, quality, crossing = context.fences, context.thresholds.quality, context.thresholds.crossing
    near_m = min(STANDING_M, quality.jump_min_m)
    has_shared, has_own = index.has_shared, bool(index.own_ids)
    rows: list[list[Sight | None]] = []
    sights: list[Sight] = []
    lons: list[float] = []
    lats: list[float] = []
    own: list[tuple[int, int]] = []
    reaching: list[Sight] = []
    chords: list[float] = []
    for state, inputs, facts in items:
        named = named_fences(facts) if has_own else ()
        row: list[Sight | None] = []
        before = state.fix
        for item in inputs:
            fix = None
            if isinstance(item, Report) and not (item.type == "alarm" and is_undated(item)):
                fix = usable_fix(item, quality, crossing)
            if fix is None:
                row.append(None)
                continue
            lat, lon = fix.lat, fix.lon
            sight = Sight(fix, before)
            if named:
                own += [(len(lons), number) for number in index.active_own(named, fix.t_ms)]
            if before is not None and at_most_m(before.lat, before.lon, lat, lon) >= near_m:
                sight.step_m = step_m = haversine_m(before.lat, before.lon, lat, lon)
                reach = reach_m(before, fix, step_m, crossing) if has_shared else None
                if reach is not None:
                    sight.reach = reach
                    reaching.append(sight)
                    chords += (before.lon, before.lat, lon, lat, step_m, reach)
            lons.append(lon)
            lats.append(lat)
            sights.append(sight)
            row.append(sight)
            before = fix
        rows.append(row)
    if sights and index.fences:
        found = index.locate(np.array(lons), np.array(lats), own)
        for sight, hits in zip(sights, found, strict=True):
            sight.hits = hits
    if reaching:
        boxes = reach_boxes(np.array(chords).reshape(-1, 6))
        for sight, touched in zip(reaching, index.boxes_touched(*boxes), strict=True):
            sight.candidates = touched
    return rows


def look_again(before: Fix | None, fix: Fix, hits: Hits, context: Context) -> Sight:
    """Return the sight of one fix whose way did not begin where the batch thought."""
    index, crossing = context.fences, context.thresholds.crossing
    sight = Sight(fix, before, None, hits)
    if before is None:
        return sight
    sight.step_m = step_m = haversine_m(before.lat, before.lon, fix.lat, fix.lon)
    sight.reach = reach_m(before, fix, step_m, crossing) if index.has_shared else None
    if sight.reach is not None:
        chord = np.array([[before.lon, before.lat, fix.lon, fix.lat, step_m, sight.reach]])
        sight.candidates = index.boxes_touched(*reach_boxes(chord))[0]
    return sight


def hits_of(fix: Fix, facts: VehicleFacts, context: Context) -> Hits:
    """Return the fences of one fix."""
    index = context.fences
    own = [(0, number) for number in index.active_own(named_fences(facts), fix.t_ms)]
    return index.locate(np.array([fix.lon]), np.array([fix.lat]), own)[0]


def named_fences(facts: VehicleFacts) -> Iterable[str]:
    """Return the ids of the fences that the facts name, once each."""
    return dict.fromkeys((*facts.region_fence_ids, *facts.yard_fence_ids))
