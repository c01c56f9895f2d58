"""The borders of all fences as flat arrays: what distances and chords are computed on.

Edges lie side by side per fence; runs of at most 16 consecutive edges have a box each, so that a
tree over runs stays 16 times smaller than one over edges.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import shapely
from numpy.typing import NDArray

from core.geo.distance import METRES_PER_DEGREE, Floats
from geofence.fence import Fence

Ints = NDArray[np.int64]
RUN_EDGES = 16


@dataclass(frozen=True, slots=True)
class Edges:
    """Border edges of polygons and centre lines of corridors.

    ``edges`` rows are ``lon_a, lat_a, lon_b, lat_b``; fence ``i`` owns ``start[i]:start[i + 1]``.
    Run ``r`` owns ``run_start[r]:run_start[r + 1]`` and belongs to fence ``run_fence[r]``.
    """

    edges: Floats
    start: Ints
    run_start: Ints
    run_fence: Ints
    run_boxes: Floats

    def of(self, fence_no: int) -> Floats:
        """Return the edges of one fence."""
        return self.edges[self.start[fence_no] : self.start[fence_no + 1]]


def collect_edges(fences: Sequence[Fence]) -> Edges:
    """Flatten the borders of fences; circles own no edges."""
    lines, line_fence = _lines(fences)
    coordinates, line_of = shapely.get_coordinates(lines, return_index=True)
    same = line_of[1:] == line_of[:-1]
    edges = np.hstack([coordinates[:-1], coordinates[1:]])[same]
    edge_line = line_of[:-1][same]
    # A shape cut at the 180th meridian has an edge along it that is no border.
    cut = (np.abs(edges[:, 0]) == 180.0) & (np.abs(edges[:, 2]) == 180.0)
    repeated = (edges[:, 0] == edges[:, 2]) & (edges[:, 1] == edges[:, 3])
    keep = ~(cut | repeated)
    edges, edge_line = np.ascontiguousarray(edges[keep]), edge_line[keep]
    edge_fence = line_fence[edge_line]
    start = np.searchsorted(edge_fence, np.arange(len(fences) + 1)).astype(np.int64)
    return Edges(edges, start, *_runs(edges, edge_line, edge_fence))


def _lines(fences: Sequence[Fence]) -> tuple[NDArray[np.object_], Ints]:
    geometries = np.array([fence.geometry for fence in fences], dtype=object)
    kinds = np.array([fence.kind for fence in fences], dtype=object)
    polygons, corridors = np.flatnonzero(kinds == "polygon"), np.flatnonzero(kinds == "corridor")
    parts, part_of = shapely.get_parts(geometries[polygons], return_index=True)
    rings, ring_of = shapely.get_rings(parts, return_index=True)
    tracks, track_of = shapely.get_parts(geometries[corridors], return_index=True)
    lines = np.concatenate([np.asarray(rings, dtype=object), np.asarray(tracks, dtype=object)])
    owner = np.concatenate([polygons[part_of[ring_of]], corridors[track_of]]).astype(np.int64)
    order = np.argsort(owner, kind="stable")
    return lines[order], owner[order]


def _runs(edges: Floats, edge_line: Ints, edge_fence: Ints) -> tuple[Ints, Ints, Floats]:
    count = len(edges)
    if count == 0:
        return np.zeros(1, np.int64), np.zeros(0, np.int64), np.zeros((0, 4))
    first_of_line = np.flatnonzero(np.r_[True, edge_line[1:] != edge_line[:-1]])
    lengths = np.diff(np.r_[first_of_line, count])
    position = np.arange(count) - np.repeat(first_of_line, lengths)
    heads = np.flatnonzero(position % RUN_EDGES == 0)
    west = np.minimum.reduceat(np.minimum(edges[:, 0], edges[:, 2]), heads)
    south = np.minimum.reduceat(np.minimum(edges[:, 1], edges[:, 3]), heads)
    east = np.maximum.reduceat(np.maximum(edges[:, 0], edges[:, 2]), heads)
    north = np.maximum.reduceat(np.maximum(edges[:, 1], edges[:, 3]), heads)
    return (
        np.r_[heads, count].astype(np.int64),
        edge_fence[heads],
        np.column_stack([west, south, east, north]),
    )


def inradius_m(fence: Fence, enough_m: float) -> float:
    """Return the radius of the largest circle inside, or any value above ``enough_m`` if it is larger.

    Area over perimeter never exceeds it, so most regions need no search.
    """
    if fence.kind == "circle":
        return fence.radius_m
    if fence.kind == "corridor":
        return fence.width_m / 2.0
    box = fence.geometry.bounds
    east = METRES_PER_DEGREE * max(0.01, float(np.cos(np.radians((box[1] + box[3]) / 2.0))))
    plane = shapely.transform(fence.geometry, lambda xy: (xy - [box[0], box[1]]) * [east, METRES_PER_DEGREE])
    bound = plane.area / plane.length if plane.length else 0.0
    if bound >= enough_m:
        return float(bound)
    inner = shapely.maximum_inscribed_circle(plane, tolerance=max(0.5, bound / 20.0))
    return float(shapely.length(inner))
