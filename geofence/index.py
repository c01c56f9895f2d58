"""Where points lie among fences: signed distances near borders, membership everywhere.

Shapely answers membership (border included); distances come from the edges near the point.
A compiled grid can stand behind the same questions: ``locate``, ``boxes_touched``, ``signed_distance_m``.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from zoneinfo import ZoneInfo

import numpy as np
import shapely
from numpy.typing import NDArray

from core.errors import Misconfigured
from core.geo.distance import (
    METRES_PER_DEGREE,
    Floats,
    haversine_m,
    haversine_many_m,
    metres_per_degree_lon,
    point_segments_m,
)
from geofence.fence import RISK_CATEGORIES, Fence
from geofence.shapes import Edges, Ints, collect_edges, inradius_m
from geofence.thresholds import Thresholds

NEAR_M = 350.0
"""Distances are exact this far from a border: beyond three times the widest band nothing changes."""

OUTSIDE_M = 1e-9

Hits = tuple[tuple[int, float], ...]
"""Fences of one point: (fence number, signed distance, negative inside; -NEAR_M deep inside)."""

_BAND_CAP_INRADIUS_M = 500.0
_CHECK_PAIRS = 200_000


@dataclass(frozen=True, slots=True)
class _Trees:
    polygons: shapely.STRtree
    polygon_no: Ints
    runs: shapely.STRtree
    circles: shapely.STRtree
    circle_no: Ints
    circle_at: Floats  # rows lon, lat, radius
    boxes: shapely.STRtree
    box_no: Ints


class FenceIndex:
    """All versions of all fences. Immutable: an edit builds a new index."""

    def __init__(self, fences: Sequence[Fence]) -> None:
        """Use ``build``, which also checks the result."""
        self.fences: tuple[Fence, ...] = tuple(fences)
        self.edges: Edges = collect_edges(self.fences)
        self.inradius_m: list[float] = [inradius_m(f, _BAND_CAP_INRADIUS_M) for f in self.fences]
        self.bounds: list[tuple[float, float, float, float]] = [f.geometry.bounds for f in self.fences]
        self._geometries: NDArray[np.object_] = np.array([f.geometry for f in self.fences], dtype=object)
        shapely.prepare(self._geometries)
        self._versions: dict[str, list[int]] = {}
        for number, fence in enumerate(self.fences):
            self._versions.setdefault(fence.id, []).append(number)
        for numbers in self._versions.values():
            numbers.sort(key=lambda n: self.fences[n].valid_from_ms)
        self._half_width = np.array([f.width_m / 2.0 for f in self.fences])
        self._polygon = np.array([f.kind == "polygon" for f in self.fences], dtype=bool)
        self._edge_columns: Floats = np.ascontiguousarray(self.edges.edges.T)
        self._deep: list[Hits] = [((number, -NEAR_M),) for number in range(len(self.fences))]
        self._trees = self._plant()
        self.has_shared = len(self._trees.box_no) > 0
        self.risky: list[bool] = [f.category in RISK_CATEGORIES for f in self.fences]
        self.own_ids: frozenset[str] = frozenset(f.id for f in self.fences if f.scope == "vehicle")

    @classmethod
    def build(cls, fences: Sequence[Fence]) -> FenceIndex:
        """Build an index and compare a sample of its answers with Shapely's.

        Raises:
            Misconfigured: an answer differs (``fence_index_disagrees``): a fault of ours.
        """
        index = cls(fences)
        index._self_check()
        return index

    # ------------------------------------------------------------------------------- versions

    def active(self, fence_id: str, t_ms: int) -> int | None:
        """Return the number of the version of a fence that is in force at a moment."""
        for number in reversed(self._versions.get(fence_id, ())):
            if self.fences[number].in_force(t_ms):
                return number
        return None

    def active_own(self, fence_ids: Iterable[str], t_ms: int) -> list[int]:
        """Return the numbers of the per-vehicle fences among some that are in force at a moment."""
        if not self.own_ids:
            return []
        numbers = (self.active(fence_id, t_ms) for fence_id in fence_ids if fence_id in self.own_ids)
        return [n for n in numbers if n is not None and self.fences[n].scope == "vehicle"]

    def latest(self, fence_id: str) -> int | None:
        """Return the number of the newest version of a fence, in force or not."""
        numbers = self._versions.get(fence_id)
        return numbers[-1] if numbers else None

    # ----------------------------------------------------------------------------- membership

    def locate(self, lons: Floats, lats: Floats, own: Sequence[tuple[int, int]] = ()) -> list[Hits]:
        """Return, for each point, the fences that hold it or whose border is within NEAR_M.

        ``own`` names pairs (point, fence number) of per-vehicle fences, which are in no tree.
        Longitudes are taken modulo 360.
        """
        hits: list[Hits] = [()] * len(lons)
        if not self.fences or not len(lons):
            return hits
        lons = _wrapped(lons)
        points = shapely.points(lons, lats)
        inside = self._inside_pairs(points, lons, lats)
        near = self._near_pairs(points, lons, lats)
        bordering, deep = _merge(len(self.fences), inside, near, self._polygon, self._half_width)
        for point, number, distance in zip(*(column.tolist() for column in bordering), strict=True):
            hits[point] += ((number, distance),)
        for point, number in zip(*(column.tolist() for column in deep), strict=True):
            hits[point] += self._deep[number]
        for point, number, distance in self._circle_hits(points, lons, lats):
            hits[point] += ((number, distance),)
        for point, number in own:
            distance = self.signed_distance_m(number, float(lons[point]), float(lats[point]), NEAR_M)
            if distance <= NEAR_M:
                hits[point] += ((number, max(-NEAR_M, distance)),)
        return hits

    def _inside_pairs(self, points: NDArray[np.object_], lons: Floats, lats: Floats) -> tuple[Ints, Ints]:
        point, slot = self._trees.polygons.query(points)
        number = self._trees.polygon_no[slot]
        order = np.argsort(number, kind="stable")  # neighbours share a prepared polygon: fewer cache misses
        point, number = point[order], number[order]
        kept = shapely.intersects_xy(self._geometries[number], lons[point], lats[point])
        return point[kept], number[kept]

    def _near_pairs(
        self, points: NDArray[np.object_], lons: Floats, lats: Floats
    ) -> tuple[Ints, Ints, Floats]:
        point, run = self._trees.runs.query(points)
        if not len(point):
            return point, run, np.zeros(0)
        counts = self.edges.run_start[run + 1] - self.edges.run_start[run]
        ends = np.cumsum(counts)
        edge = (
            np.arange(ends[-1])
            - np.repeat(ends - counts, counts)
            + np.repeat(self.edges.run_start[run], counts)
        )
        each = np.repeat(point, counts)
        segments = self._edge_columns.take(edge, axis=1).T  # by columns: neighbours in memory
        distance = np.minimum.reduceat(point_segments_m(lats[each], lons[each], segments), ends - counts)
        return point, self.edges.run_fence[run], distance

    def _circle_hits(
        self, points: NDArray[np.object_], lons: Floats, lats: Floats
    ) -> list[tuple[int, int, float]]:
        point, slot = self._trees.circles.query(points)
        if not len(point):
            return []
        centre = self._trees.circle_at[slot]
        distance = haversine_many_m(lats[point], lons[point], centre[:, 1], centre[:, 0]) - centre[:, 2]
        near = distance <= NEAR_M
        return list(
            zip(
                point[near].tolist(),
                self._trees.circle_no[slot[near]].tolist(),
                np.maximum(-NEAR_M, distance[near]).tolist(),
                strict=True,
            )
        )

    def signed_distance_m(self, number: int, lon: float, lat: float, enough_m: float = np.inf) -> float:
        """Return the distance from a point to the border of a fence, negative inside or on it.

        If the box of the fence is farther than ``enough_m``, that is said as ``inf`` without looking closer.
        """
        fence = self.fences[number]
        if fence.kind == "circle":
            return haversine_m(lat, lon, fence.geometry.y, fence.geometry.x) - fence.radius_m
        half = fence.width_m / 2.0
        if _box_m(self.bounds[number], lon, lat) - half > enough_m:
            return float("inf")
        edges = self.edges.of(number)
        distance = float(point_segments_m(lat, lon, edges).min()) if len(edges) else float("inf")
        if fence.kind == "corridor":
            return distance - half
        inside = shapely.intersects_xy(fence.geometry, lon, lat)
        return -distance if inside else max(distance, OUTSIDE_M)

    def outside_m(
        self, number: int, lon_a: float, lat_a: float, lon_b: float, lat_b: float, enough_m: float
    ) -> tuple[float, float]:
        """Return the distances of two points outside a fence to it.

        If the distances to its box already add up to more than ``enough_m``, those are returned.
        """
        fence = self.fences[number]
        if fence.kind == "circle":
            return (
                max(0.0, self.signed_distance_m(number, lon_a, lat_a)),
                max(0.0, self.signed_distance_m(number, lon_b, lat_b)),
            )
        to_box = _box_m(self.bounds[number], lon_a, lat_a), _box_m(self.bounds[number], lon_b, lat_b)
        edges = self.edges.of(number)
        if sum(to_box) > enough_m or not len(edges):
            return to_box
        count = len(edges)
        lat, lon = np.repeat((lat_a, lat_b), count), np.repeat((lon_a, lon_b), count)
        distance = point_segments_m(lat, lon, np.concatenate([edges, edges]))
        return float(distance[:count].min()), float(distance[count:].min())

    def contains(self, number: int, lon: float, lat: float) -> bool:
        """Return whether a point is in a fence or on its border."""
        if self.fences[number].kind == "polygon":
            return bool(shapely.intersects_xy(self.fences[number].geometry, lon, lat))
        return self.signed_distance_m(number, lon, lat) <= 0.0

    # --------------------------------------------------------------------------------- chords

    def boxes_touched(
        self, west: Floats, south: Floats, east: Floats, north: Floats
    ) -> list[tuple[int, ...]]:
        """Return, for each box in degrees, the shared polygons and circles whose own box it touches."""
        found: list[tuple[int, ...]] = [()] * len(west)
        # A diagonal has the box of the box, and is made in half the time.
        corners = np.column_stack([west, south, east, north]).reshape(-1, 2, 2)
        pair, slot = self._trees.boxes.query(shapely.linestrings(corners))
        for number, fence_no in zip(pair.tolist(), self._trees.box_no[slot].tolist(), strict=True):
            found[number] += (fence_no,)
        return found

    def _plant(self) -> _Trees:
        shared = np.array([f.scope == "shared" for f in self.fences], dtype=bool)
        polygon_no = np.flatnonzero(shared & self._polygon)
        circle_no = np.array(
            [n for n, f in enumerate(self.fences) if f.kind == "circle" and f.scope == "shared"],
            dtype=np.int64,
        )
        circle_at = np.array(
            [
                (self.fences[n].geometry.x, self.fences[n].geometry.y, self.fences[n].radius_m)
                for n in circle_no
            ]
        ).reshape(-1, 3)
        runs = self.edges.run_boxes.copy()
        run_fence = self.edges.run_fence
        reach = self._half_width[run_fence] if len(run_fence) else np.zeros(0)
        _grow(runs, reach + NEAR_M)
        # Runs of per-vehicle fences stay in the tree's numbering but can never be found.
        boxes = shapely.box(runs[:, 0], runs[:, 1], runs[:, 2], runs[:, 3])
        boxes[~shared[run_fence]] = None
        circle_boxes = np.column_stack([circle_at[:, :2], circle_at[:, :2]])
        exact = circle_boxes.copy()
        _grow(circle_boxes, circle_at[:, 2] + NEAR_M)
        _grow(exact, circle_at[:, 2])
        touch = np.concatenate([self._geometries[polygon_no], shapely.box(*exact.T)])
        return _Trees(
            polygons=shapely.STRtree(self._geometries[polygon_no]),
            polygon_no=polygon_no,
            runs=shapely.STRtree(boxes),
            circles=shapely.STRtree(shapely.box(*circle_boxes.T)),
            circle_no=circle_no,
            circle_at=circle_at,
            boxes=shapely.STRtree(touch),
            box_no=np.concatenate([polygon_no, circle_no]),
        )

    def _self_check(self) -> None:
        numbers = self._trees.polygon_no
        if not len(numbers):
            return
        rng = np.random.default_rng(20261122)
        sample = max(8, min(1000, _CHECK_PAIRS // len(numbers)))
        pick = rng.choice(numbers, sample)
        box = shapely.bounds(self._geometries[pick])
        lons, lats = (rng.uniform(box[:, i], box[:, i + 2]) for i in (0, 1))
        if len(self.edges.edges):
            vertices = self.edges.edges[rng.integers(0, len(self.edges.edges), sample)]
            lons, lats = np.r_[lons, vertices[:, 0]], np.r_[lats, vertices[:, 1]]
        lons = _wrapped(lons)
        oracle = shapely.intersects_xy(self._geometries[numbers][:, None], lons[None, :], lats[None, :])
        polygons = set(numbers.tolist())
        for point, hits in enumerate(self.locate(lons, lats)):
            ours = {number for number, distance in hits if distance <= 0.0 and number in polygons}
            if ours != set(numbers[oracle[:, point]].tolist()):
                raise Misconfigured(
                    f"Expected the fence index to agree with Shapely at {lons[point]}, {lats[point]}",
                    code="fence_index_disagrees",
                )


def _wrapped(lons: Floats) -> Floats:
    """Return longitudes within [-180, 180); those already there bit for bit, or borders would move."""
    return np.where((lons >= -180.0) & (lons < 180.0), lons, (lons + 180.0) % 360.0 - 180.0)


def _box_m(box: tuple[float, float, float, float], lon: float, lat: float) -> float:
    """Return a lower bound of the distance from a point to what is in a box."""
    side = max(box[0] - lon, lon - box[2], 0.0) * metres_per_degree_lon(lat)
    up = max(box[1] - lat, lat - box[3], 0.0) * METRES_PER_DEGREE
    return math.hypot(side, up)


def _grow(boxes: Floats, by_m: Floats) -> None:
    up = by_m / METRES_PER_DEGREE
    farthest = np.maximum(np.abs(boxes[:, 1]), np.abs(boxes[:, 3])) + up
    side = up / np.maximum(0.01, np.cos(np.radians(np.minimum(90.0, farthest))))
    boxes[:, 0] -= side
    boxes[:, 1] -= up
    boxes[:, 2] += side
    boxes[:, 3] += up


def _merge(
    fences: int,
    inside: tuple[Ints, Ints],
    near: tuple[Ints, Ints, Floats],
    polygon: NDArray[np.bool_],
    half_width: Floats,
) -> tuple[tuple[Ints, Ints, Floats], tuple[Ints, Ints]]:
    """Join the pairs that are inside with the pairs whose border is near.

    Returns (point, fence, distance) of the near ones and (point, fence) of those deep inside.
    """
    inside_key = np.sort(inside[0] * fences + inside[1])
    near_key = near[0] * fences + near[1]
    if not len(near_key):
        return (near_key, near_key, near[2]), (inside_key // fences, inside_key % fences)
    order = np.argsort(near_key, kind="stable")
    near_key = near_key[order]
    heads = np.flatnonzero(np.r_[True, near_key[1:] != near_key[:-1]])
    near_key, distance = near_key[heads], np.minimum.reduceat(near[2][order], heads)
    number = near_key % fences
    place = np.searchsorted(inside_key, near_key)
    is_inside = np.r_[inside_key, -1][place] == near_key
    # Shapely decides which side; a distance rounded to zero must not turn outside into border.
    signed = np.where(is_inside, -distance, np.maximum(distance, OUTSIDE_M))
    signed = np.where(polygon[number], signed, np.maximum(-NEAR_M, distance - half_width[number]))
    kept = np.abs(signed) <= NEAR_M
    is_deep = np.ones(len(inside_key), dtype=bool)
    is_deep[place[is_inside & kept]] = False
    deep = inside_key[is_deep]
    near_key = near_key[kept]
    return (near_key // fences, number[kept], signed[kept]), (deep // fences, deep % fences)


@dataclass(frozen=True, slots=True)
class Context:
    """What rules are judged against besides the vehicle: fences, thresholds, the local time zone."""

    fences: FenceIndex
    thresholds: Thresholds = field(default_factory=Thresholds)
    timezone: str = "Asia/Shanghai"

    def zone(self) -> ZoneInfo:
        """Return the time zone in which nights are counted."""
        return ZoneInfo(self.timezone)
