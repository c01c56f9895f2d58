"""Entering and leaving fences: a band, confirmation, interpolated time (geofence.md 4.4)."""

from __future__ import annotations

from typing import Any, NamedTuple

import msgspec

from core.geo.distance import haversine_m
from geofence.chords import crossing_share
from geofence.fence import Fence
from geofence.index import FenceIndex, Hits
from geofence.state import Fix, Member
from geofence.thresholds import Crossing

Members = dict[str, Member]


class Crossed(NamedTuple):
    """A confirmed crossing."""

    fence: Fence
    event: str  # enter | exit
    event_ms: int
    since_ms: int  # when the state it ends began
    evidence: dict[str, Any]
    lat: float | None = None
    lon: float | None = None


def band_m(fence: Fence, inradius_m: float, fix: Fix, limits: Crossing) -> float:
    """Return the half-width e of the undecided band; small fences stay reachable."""
    wanted = min(limits.band_max_m, max(limits.band_min_m, fence.hysteresis_m, fix.error_m))
    return min(wanted, limits.inradius_share * inradius_m)


def is_settled(members: Members, hits: Hits, fix: Fix, index: FenceIndex) -> bool:
    """Return whether a fix plainly agrees with every membership, so that ``cross`` would change nothing."""
    fences, inside = index.fences, 0
    for number, distance in hits:
        fence = fences[number]
        member = members.get(fence.id)
        if member is None:
            if distance <= 0.0:
                return False
        elif (
            distance > 0.0
            or not member.inside
            or member.crossed_ms is not None
            or member.version != fence.version
            or not fence.in_force(fix.t_ms)
        ):
            return False
        else:
            inside += 1
    return inside == len(members)


def cross(
    members: Members,
    hits: Hits,
    fix: Fix,
    previous: Fix | None,
    index: FenceIndex,
    limits: Crossing,
    own: frozenset[str],
) -> tuple[Members, list[Crossed]]:
    """Move memberships by one accepted fix. The input mapping is never changed."""
    found: list[Crossed] = []
    changed: dict[str, Member | None] = {}
    seen: set[str] = set()
    for number, distance in hits:
        fence = index.fences[number]
        if not fence.in_force(fix.t_ms) or (fence.scope == "vehicle" and fence.id not in own):
            continue
        seen.add(fence.id)
        member = members.get(fence.id)
        if member is None and distance > 0.0:
            continue
        changed[fence.id] = _judge(number, distance, member, fix, previous, index, limits, found)
    for fence_id, member in members.items():
        if fence_id in seen:
            continue
        number_in_force = index.active(fence_id, fix.t_ms)
        if number_in_force is None:
            changed[fence_id] = None
            _retire(fence_id, member, fix, index, found)
        else:
            changed[fence_id] = _judge(
                number_in_force, float("inf"), member, fix, previous, index, limits, found
            )
    if all(members.get(fence_id) is member for fence_id, member in changed.items()):
        return members, found
    merged: Members = {fence_id: m for fence_id, m in members.items() if fence_id not in changed}
    merged.update((fence_id, m) for fence_id, m in changed.items() if m is not None)
    return merged, found


def _judge(
    number: int,
    distance: float,
    member: Member | None,
    fix: Fix,
    previous: Fix | None,
    index: FenceIndex,
    limits: Crossing,
    found: list[Crossed],
) -> Member | None:
    fence = index.fences[number]
    inside = distance <= 0.0
    if member is None:
        if previous is None or _is_new(fence, previous, index):
            # Nobody saw the vehicle cross: it is in, silently.
            return Member(fence.version, True, fix.t_ms, True)
        member = Member(fence.version, False, previous.t_ms)
    if inside == member.inside:
        if not inside:
            return None
        if member.crossed_ms is None and member.version == fence.version:
            return member
        return Member(fence.version, True, member.since_ms, member.silent)
    if member.crossed_ms is None:
        before = previous or fix
        share = crossing_share(index, number, before, fix)
        member = msgspec.structs.replace(
            member,
            crossed_ms=before.t_ms + round(share * (fix.t_ms - before.t_ms)),
            before_ms=before.t_ms,
            after_ms=fix.t_ms,
            lat=before.lat + share * (fix.lat - before.lat),
            lon=before.lon + share * (fix.lon - before.lon),
        )
    band = band_m(fence, index.inradius_m[number], fix, limits)
    how = None
    if abs(distance) > band or band == 0.0:
        first_ms = fix.t_ms if member.first_ms is None else member.first_ms
        member = msgspec.structs.replace(member, first_ms=first_ms, count=member.count + 1)
        how = _fast(distance, band, fix, previous, limits)
        if member.count >= limits.confirm_fixes:
            how = "fixes"
    if how is None and member.first_ms is not None and fix.t_ms - member.first_ms >= limits.confirm_s * 1000:
        how = "time"
    if how is None:
        return member
    event_ms = fix.t_ms if member.crossed_ms is None else member.crossed_ms
    found.append(
        Crossed(
            fence,
            "enter" if inside else "exit",
            event_ms,
            member.since_ms,
            _evidence(fence, member, fix, distance, band, how),
            round(member.lat, 6),
            round(member.lon, 6),
        )
    )
    return Member(fence.version, True, event_ms) if inside else None


def _is_new(fence: Fence, previous: Fix, index: FenceIndex) -> bool:
    return fence.valid_from_ms > previous.t_ms and index.active(fence.id, previous.t_ms) is None


def _fast(distance: float, band: float, fix: Fix, previous: Fix | None, limits: Crossing) -> str | None:
    """Return why one fix is enough: far beyond the band and driving, or from a device that reports rarely.

    After a minute or more the step must lie mostly beyond the border to be a plausible crossing: of
    reports two minutes apart, many that cut a corner would otherwise enter and leave at once.
    """
    if abs(distance) <= limits.fast_band_factor * band or previous is None:
        return None
    gap_ms = fix.t_ms - previous.t_ms
    if gap_ms >= limits.sparse_gap_s * 1000:
        return "sparse"
    step_m = haversine_m(previous.lat, previous.lon, fix.lat, fix.lon)
    speed_kmh = fix.speed_kmh
    if speed_kmh is None and gap_ms > 0:
        speed_kmh = step_m * 3600.0 / gap_ms
    if speed_kmh is None or speed_kmh <= limits.fast_speed_kmh:
        return None
    plausible = gap_ms <= limits.confirm_s * 1000 or abs(distance) >= limits.fast_step_share * step_m
    return "fast" if plausible else None


def _evidence(
    fence: Fence, member: Member, fix: Fix, distance: float, band: float, how: str
) -> dict[str, Any]:
    evidence: dict[str, Any] = {
        "fence_version": fence.version,
        "category": fence.category,
        "name": fence.name,
        "between_ms": [member.before_ms, member.after_ms],
        "confirmed_by": how,
        "band_m": round(band, 1),
    }
    if abs(distance) != float("inf"):
        evidence["beyond_m"] = round(abs(distance), 1)
    if member.version != fence.version:
        evidence["cause"] = "fence_changed"
    if member.silent:
        evidence["enter_unseen"] = True
    return evidence


def _retire(fence_id: str, member: Member, fix: Fix, index: FenceIndex, found: list[Crossed]) -> None:
    """Close the membership of a fence that is no longer in force, so that exits answer enters."""
    number = index.latest(fence_id)
    if not member.inside or number is None:
        return
    fence = index.fences[number]
    found.append(
        Crossed(
            fence,
            "exit",
            max(member.since_ms, min(fence.valid_to_ms, fix.t_ms)),
            member.since_ms,
            {
                "fence_version": fence.version,
                "category": fence.category,
                "name": fence.name,
                "cause": "fence_retired",
            },
        )
    )
