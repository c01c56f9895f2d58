"""Stays and trips from fixes, one at a time (telematics.md c0 motion state, geofence.md 6).

A vehicle is parked when its fixes stay within 100 m of their centre for 180 s, or its ignition is
off and it stands for 60 s. It leaves with 200 m or speed; until the trip is 500 m or 300 s long it
is only departing, and a return takes the stay up again, so drift and shunting make no events.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from msgspec.structs import replace

from core.geo.distance import at_most_m, haversine_m
from geofence.state import Cluster, Fix, Motion, Trip
from geofence.thresholds import MotionThresholds


class Told(NamedTuple):
    """A stay or trip that began or ended."""

    rule: str  # STAY | TRIP
    event: str  # start | end
    event_ms: int
    episode_ms: int
    lat: float
    lon: float
    evidence: dict[str, Any]


_Pace = tuple[int | None, int | None, int]
"""Since when the ignition is off; since when, and at how many fixes in a row, the vehicle is fast."""


def move(
    motion: Motion, fix: Fix, previous: Fix | None, limits: MotionThresholds, step_m: float | None = None
) -> tuple[Motion, Sequence[Told]]:
    """Move the motion state by one accepted fix; ``step_m`` from the previous one, if it is known."""
    if previous is None or motion.cluster is None:
        return Motion(cluster=_begin(fix), trip=_trip(fix.t_ms, fix), off_ms=_off(None, fix, limits)), ()
    pace = _pace(motion, fix, limits)
    if motion.phase == "parked":
        return _while_parked(motion, pace, fix, limits), ()
    told: list[Told] = []
    if step_m is None:
        step_m = haversine_m(previous.lat, previous.lon, fix.lat, fix.lon)
    if motion.phase == "moving" and _breaks(motion, fix, previous, step_m, limits):
        _end_trip(motion, previous.t_ms, motion.trip, previous, told, limits, gap=True)
        return Motion(cluster=_begin(fix), trip=_trip(fix.t_ms, fix), off_ms=pace[0]), told
    motion = _travel(motion, pace, fix, previous, step_m, limits)
    if _stands(motion, fix, limits):
        return _park(motion, fix, told, limits), told
    return _set_out(motion, fix, told, limits), told


def _begin(fix: Fix) -> Cluster:
    return Cluster(fix.t_ms, fix.t_ms, fix.lat, fix.lon, 1, 0.0)


def _trip(start_ms: int, at: Fix | Cluster, distance_m: float = 0.0, max_kmh: float = 0.0) -> Trip:
    return Trip(start_ms, distance_m, max_kmh, False, at.lat, at.lon)


def _off(since_ms: int | None, fix: Fix, limits: MotionThresholds) -> int | None:
    """Return since when the ignition has been off while standing."""
    if fix.ignition is True or (fix.speed_kmh or 0.0) >= limits.ignition_off_kmh:
        return None
    if fix.ignition is None:
        return since_ms
    return fix.t_ms if since_ms is None else since_ms


def _pace(motion: Motion, fix: Fix, limits: MotionThresholds) -> _Pace:
    off_ms, speed_kmh = _off(motion.off_ms, fix, limits), fix.speed_kmh
    if speed_kmh is None or speed_kmh < limits.moving_kmh:
        return off_ms, None, 0
    return off_ms, fix.t_ms if motion.fast_ms is None else motion.fast_ms, motion.fast_fixes + 1


def _drives(fast_ms: int | None, fast_fixes: int, fix: Fix, limits: MotionThresholds) -> bool:
    if fast_ms is None:
        return False
    return fast_fixes >= limits.moving_fixes or fix.t_ms - fast_ms >= limits.moving_s * 1000


def _grown(cluster: Cluster, fix: Fix, away_m: float) -> Cluster:
    share = 1.0 / (cluster.fixes + 1)
    return Cluster(
        cluster.start_ms,
        fix.t_ms,
        cluster.lat + (fix.lat - cluster.lat) * share,
        cluster.lon + (fix.lon - cluster.lon) * share,
        cluster.fixes + 1,
        max(cluster.radius_m, away_m),
    )


def _while_parked(motion: Motion, pace: _Pace, fix: Fix, limits: MotionThresholds) -> Motion:
    stay = motion.stay
    if stay is None:  # a parked vehicle has a stay; an odd state starts again
        return Motion(cluster=_begin(fix), trip=_trip(fix.t_ms, fix))
    away_m = at_most_m(stay.lat, stay.lon, fix.lat, fix.lon)
    if not away_m <= stay.radius_m <= limits.stay_radius_m < limits.leave_m:
        # Where the stay has been already the bound is good enough; here it is not.
        away_m = haversine_m(stay.lat, stay.lon, fix.lat, fix.lon)
    off_ms, fast_ms, fast_fixes = pace
    fast = fast_ms is not None
    far = away_m >= limits.leave_m
    leaves = far and (motion.far_fixes + 1 >= limits.moving_fixes or fast or away_m >= limits.leave_at_once_m)
    if leaves or _drives(fast_ms, fast_fixes, fix, limits):
        away_m = haversine_m(stay.lat, stay.lon, fix.lat, fix.lon)
        trip = _trip(stay.last_ms, stay, away_m, fix.speed_kmh or 0.0)
        return Motion("departing", _begin(fix), away_m, stay, trip, fast_ms, fast_fixes, 0, off_ms)
    if not far and not fast and away_m <= limits.stay_radius_m:
        stay = _grown(stay, fix, away_m)
    return Motion(
        "parked",
        motion.cluster,
        motion.before_cluster_m,
        stay,
        motion.trip,
        fast_ms,
        fast_fixes,
        motion.far_fixes + 1 if far else 0,
        off_ms,
    )


def _breaks(motion: Motion, fix: Fix, previous: Fix, step_m: float, limits: MotionThresholds) -> bool:
    """Return whether a gap is too long to say that the trip went on."""
    return fix.t_ms - previous.t_ms > limits.gap_s * 1000 and step_m > limits.stay_radius_m


def _travel(
    motion: Motion, pace: _Pace, fix: Fix, previous: Fix, step_m: float, limits: MotionThresholds
) -> Motion:
    trip = motion.trip or _trip(previous.t_ms, previous)
    seconds = (fix.t_ms - previous.t_ms) / 1000.0
    implied_kmh = step_m / seconds * 3.6 if seconds > 0.0 else 0.0
    speed_kmh = implied_kmh if fix.speed_kmh is None else fix.speed_kmh
    distance_m = trip.distance_m + step_m
    trip = Trip(trip.start_ms, distance_m, max(trip.max_kmh, speed_kmh), trip.told, trip.lat, trip.lon)
    cluster, before_cluster_m = motion.cluster or _begin(previous), motion.before_cluster_m
    if cluster.lat == previous.lat and cluster.lon == previous.lon:
        away_m = step_m
    else:
        away_m = haversine_m(cluster.lat, cluster.lon, fix.lat, fix.lon)
    if away_m <= limits.stay_radius_m:
        cluster = _grown(cluster, fix, away_m)
    else:
        cluster, before_cluster_m = _begin(fix), distance_m
    off_ms, fast_ms, fast_fixes = pace
    return Motion(
        motion.phase,
        cluster,
        before_cluster_m,
        motion.stay,
        trip,
        fast_ms,
        fast_fixes,
        motion.far_fixes,
        off_ms,
    )


def _stands(motion: Motion, fix: Fix, limits: MotionThresholds) -> bool:
    cluster = motion.cluster
    if cluster is None or motion.fast_ms is not None:
        return False
    if cluster.last_ms - cluster.start_ms >= limits.stay_s * 1000:
        return True
    off_ms = motion.off_ms
    return off_ms is not None and fix.t_ms - max(off_ms, cluster.start_ms) >= limits.ignition_off_s * 1000


def _park(motion: Motion, fix: Fix, told: list[Told], limits: MotionThresholds) -> Motion:
    cluster, stay = motion.cluster, motion.stay
    if cluster is None:
        return motion
    if motion.phase == "departing" and stay is not None:
        if haversine_m(stay.lat, stay.lon, cluster.lat, cluster.lon) <= limits.leave_m:
            merged = Cluster(
                stay.start_ms, cluster.last_ms, stay.lat, stay.lon, stay.fixes + cluster.fixes, stay.radius_m
            )
            return replace(
                motion, phase="parked", stay=merged, trip=None, fast_ms=None, fast_fixes=0, far_fixes=0
            )
        _end_stay(stay, told)
    _end_trip(motion, cluster.start_ms, motion.trip, cluster, told, limits)
    told.append(
        Told(
            "STAY",
            "start",
            cluster.start_ms,
            cluster.start_ms,
            cluster.lat,
            cluster.lon,
            {"fixes": cluster.fixes, "radius_m": round(cluster.radius_m, 1), "proved_by_ms": fix.t_ms},
        )
    )
    return replace(
        motion,
        phase="parked",
        stay=cluster,
        trip=None,
        before_cluster_m=0.0,
        fast_ms=None,
        fast_fixes=0,
        far_fixes=0,
    )


def _set_out(motion: Motion, fix: Fix, told: list[Told], limits: MotionThresholds) -> Motion:
    """Turn unknown or departing into moving, and tell the trip once it is long enough."""
    trip, phase, stay = motion.trip, motion.phase, motion.stay
    if trip is None or (phase == "moving" and trip.told):
        return motion
    long_enough = trip.distance_m >= limits.trip_min_m or fix.t_ms - trip.start_ms >= limits.trip_min_s * 1000
    if phase == "unknown":
        drives = _drives(motion.fast_ms, motion.fast_fixes, fix, limits)
        if trip.distance_m < limits.leave_m and not drives:
            return motion
        phase = "moving"
    elif phase == "departing" and stay is not None:
        away_m = haversine_m(stay.lat, stay.lon, fix.lat, fix.lon)
        if not long_enough or away_m < limits.leave_m:
            return motion
        phase = "moving"
        _end_stay(stay, told)
    if long_enough and not trip.told:
        trip = replace(trip, told=True)
        _start_trip(trip, told)
    if phase == motion.phase and trip is motion.trip:
        return motion
    return replace(motion, phase=phase, trip=trip, stay=None if phase == "moving" else stay)


def _end_stay(stay: Cluster, told: list[Told]) -> None:
    told.append(
        Told(
            "STAY",
            "end",
            stay.last_ms,
            stay.start_ms,
            stay.lat,
            stay.lon,
            {
                "duration_s": (stay.last_ms - stay.start_ms) // 1000,
                "fixes": stay.fixes,
                "radius_m": round(stay.radius_m, 1),
            },
        )
    )


def _start_trip(trip: Trip, told: list[Told]) -> None:
    told.append(Told("TRIP", "start", trip.start_ms, trip.start_ms, trip.lat, trip.lon, {}))


def _end_trip(
    motion: Motion,
    end_ms: int,
    trip: Trip | None,
    at: Fix | Cluster,
    told: list[Told],
    limits: MotionThresholds,
    *,
    gap: bool = False,
) -> None:
    if trip is None or motion.phase == "unknown":
        return
    distance_m = trip.distance_m if gap else motion.before_cluster_m
    if not trip.told:
        if distance_m < limits.trip_min_m and end_ms - trip.start_ms < limits.trip_min_s * 1000:
            return
        _start_trip(trip, told)
    evidence: dict[str, Any] = {
        "distance_m": round(distance_m),
        "duration_s": max(0, end_ms - trip.start_ms) // 1000,
        "max_speed_kmh": round(trip.max_kmh, 1),
    }
    if gap:
        evidence["ended_by"] = "gap"
    told.append(Told("TRIP", "end", end_ms, trip.start_ms, at.lat, at.lon, evidence))
