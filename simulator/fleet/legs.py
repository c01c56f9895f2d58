"""A vehicle's life as a chain of legs, parked or driving, without gaps between them."""

from __future__ import annotations

from dataclasses import dataclass

from simulator.city.network import Point
from simulator.domain import Label
from simulator.fleet.trip import Trip


@dataclass(frozen=True, slots=True)
class Window:
    """Something is wrong with a device between two moments.

    Kinds: ``power_cut`` (no vehicle supply), ``removed`` (taken off), ``jamming``, ``silent``.
    """

    kind: str
    device_id: str
    start_ms: int
    end_ms: int


@dataclass(frozen=True, slots=True)
class Leg:
    """Parked at ``spot`` (no trip), or under way on ``trip`` from ``start_ms``.

    ``since_ms``: parked since, when that was before the leg began. ``ignition`` is false on a tow
    truck. ``labels`` are the alerts that the leg's incident ought to raise.
    """

    start_ms: int
    end_ms: int
    spot: Point
    ignition: bool
    trip: Trip | None = None
    since_ms: int | None = None
    windows: tuple[Window, ...] = ()
    labels: tuple[Label, ...] = ()
