"""Putting fences into force: new ones for all time, changed ones from now on; who must be judged again.

A version is never edited: the old one ends when the new one begins, and a late report is judged by
the one of its time.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING

import shapely

from core.geo.distance import METRES_PER_DEGREE
from geofence.domain import BEGINNING_MS
from geofence.fences import FOREVER_MS, Fence, fence_from_row, fence_to_row
from geofence.store import fences as fences_store
from geofence.store import replays as replay_store

if TYPE_CHECKING:
    from core.db.pool import Connection

Box = tuple[float, float, float, float]

REACH_M = 50_000.0
"""A fence matters to no fix farther away: a chord between two fixes is at most 15 minutes at 50 m/s."""

BINDING_CATEGORIES = frozenset({"allowed_region", "yard"})
"""Such a fence says where vehicles must be, so it concerns those that never came near it."""


@dataclass(frozen=True, slots=True)
class Edit:
    """What putting fences into force changed."""

    added: tuple[str, ...]
    changed: tuple[str, ...]
    unchanged: tuple[str, ...]
    replays: int


def put_in_force(
    conn: Connection, fences: Sequence[Fence], *, now_ms: int, created_by: str | None = None
) -> Edit:
    """Store what is new or different and queue the vehicles concerned; the caller commits.

    The same content again changes nothing. ``now_ms`` is telemetry time.
    """
    fences_store.lock_fences(conn)
    began = fences_store.oldest_transaction(conn)
    standing = {
        fence_id: fence_from_row(row)
        for fence_id, row in fences_store.newest_versions(conn, [fence.id for fence in fences]).items()
    }
    added = [fence for fence in fences if fence.id not in standing]
    changed = [fence for fence in fences if fence.id in standing and differs(standing[fence.id], fence)]
    before = [standing[fence.id] for fence in changed]
    # The long search comes first: from the first insert on, batches wait for this transaction.
    wishes = _seen_near(conn, added, None)
    _earlier(wishes, _seen_near(conn, [*changed, *before], now_ms))
    for fence in added:
        _store(conn, replace(fence, version=1), None, created_by)
    for fence, old in zip(changed, before, strict=True):
        fences_store.close_version(conn, old.id, old.version, now_ms)
        _store(conn, replace(fence, version=old.version + 1), now_ms, created_by)
    _earlier(wishes, _seen_near(conn, added, None, began))
    _earlier(wishes, _seen_near(conn, [*changed, *before], now_ms, began))
    if _binding(added):
        _earlier(wishes, dict.fromkeys(fences_store.judged_since(conn, None), BEGINNING_MS))
    elif _binding([*changed, *before]):
        _earlier(wishes, dict.fromkeys(fences_store.judged_since(conn, now_ms), now_ms))
    replay_store.queue(conn, wishes, "fence_changed")
    touched = {fence.id for fence in (*added, *changed)}
    return Edit(
        tuple(fence.id for fence in added),
        tuple(fence.id for fence in changed),
        tuple(fence.id for fence in fences if fence.id not in touched),
        len(wishes),
    )


def differs(standing: Fence, fence: Fence) -> bool:
    """Whether a fence says something else than the newest version, or that one has ended."""
    return standing.valid_to_ms != FOREVER_MS or _content(standing) != _content(fence)


def _content(fence: Fence) -> tuple[object, ...]:
    return (
        fence.name, fence.category, fence.kind, shapely.to_wkb(fence.geometry), fence.radius_m, fence.width_m,
        fence.datum, fence.scope, fence.hysteresis_m, fence.dwell_s,
    )  # fmt: skip


def _store(conn: Connection, fence: Fence, valid_from_ms: int | None, created_by: str | None) -> None:
    fences_store.add_version(
        conn, fence_to_row(fence), properties={}, valid_from_ms=valid_from_ms, created_by=created_by
    )


def _binding(fences: Iterable[Fence]) -> bool:
    return any(fence.category in BINDING_CATEGORIES for fence in fences)


def _earlier(wishes: dict[str, int], more: dict[str, int]) -> None:
    for vehicle_id, since_ms in more.items():
        wishes[vehicle_id] = min(since_ms, wishes.get(vehicle_id, since_ms))


def _seen_near(
    conn: Connection, fences: Sequence[Fence], since_ms: int | None, written_after: datetime | None = None
) -> dict[str, int]:
    """Return the vehicles that reported near any of the fences, and since when: one search for all."""
    if not fences:
        return {}
    boxes = [reach(fence) for fence in fences]
    box = (
        min(box[0] for box in boxes), min(box[1] for box in boxes),
        max(box[2] for box in boxes), max(box[3] for box in boxes),
    )  # fmt: skip
    return fences_store.first_inputs_in_box(conn, box, since_ms, written_after)


def reach(fence: Fence) -> Box:
    """Return the box (west, south, east, north) outside which no fix can meet the fence."""
    west, south, east, north = fence.geometry.bounds
    by_m = REACH_M + fence.radius_m + fence.width_m
    up = by_m / METRES_PER_DEGREE
    farthest = max(abs(south - up), abs(north + up))
    side = 360.0 if farthest >= 89.0 else up / math.cos(math.radians(farthest))
    if west - side < -180.0 or east + side > 180.0:
        west, east, side = -180.0, 180.0, 0.0  # around the 180th meridian a box has two sides
    return (west - side, south - up, east + side, north + up)
