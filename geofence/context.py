"""Fences, thresholds and vehicle facts, cached until the database says that they changed.

Ask after the vehicle states are locked: whoever edits a fence queues replays in the same
transaction, and a replay waits for the lock, so a batch judged by the old fences is judged again.
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Any

import msgspec

from core.errors import Misconfigured
from geofence.domain import DeviceFacts, VehicleFacts
from geofence.fences import Fence, fence_from_row
from geofence.index import Context, FenceIndex
from geofence.store import facts as facts_store
from geofence.store import fences as fences_store
from geofence.thresholds import Thresholds

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from core.db.pool import Connection
    from geofence.store.facts import Revisions


class ContextCache:
    """What the rules are judged against, as the caller's transaction sees it. Not for two threads."""

    def __init__(self, timezone: str) -> None:
        self._timezone = timezone
        self._seen: Revisions | None = None
        self._context: Context | None = None
        self._facts: dict[str, VehicleFacts] = {}

    def refresh(self, conn: Connection) -> tuple[Context, Revisions]:
        """Return the context in force and the versions it was made from."""
        now = facts_store.revisions(conn)
        seen, self._seen = self._seen, now
        if (
            self._context is None
            or seen is None
            or (seen.fences, seen.thresholds) != (now.fences, now.thresholds)
        ):
            self._context = load_context(conn, self._timezone)
        if seen != now:
            self._facts.clear()
        return self._context, now

    def facts(self, conn: Connection, vehicle_ids: Collection[str]) -> dict[str, VehicleFacts]:
        """Return the facts of vehicles; call ``refresh`` before, in the same transaction."""
        assert self._context is not None  # noqa: S101 - refresh comes first
        unknown = [vehicle_id for vehicle_id in vehicle_ids if vehicle_id not in self._facts]
        if unknown:
            self._facts.update(load_facts(conn, unknown, self._context.fences.fences))
        return {vehicle_id: self._facts[vehicle_id] for vehicle_id in vehicle_ids}


def load_context(conn: Connection, timezone: str) -> Context:
    """Read the fences and thresholds and build the index.

    Raises:
        Misconfigured: a stored threshold set has a name or number that no rule knows.
    """
    fences = [fence_from_row(row) for row in fences_store.all_versions(conn)]
    return Context(FenceIndex.build(fences), load_thresholds(conn), timezone)


def load_thresholds(conn: Connection) -> Thresholds:
    """Return the built-in thresholds with the newest set's numbers over them."""
    stored = facts_store.threshold_numbers(conn)
    if stored is None:
        return Thresholds()
    version, numbers = stored
    try:
        return msgspec.convert({**numbers, "version": version}, Thresholds)
    except msgspec.ValidationError as exc:
        raise Misconfigured(f"Threshold set {version!r}: {exc}", code="bad_thresholds") from exc


def load_facts(
    conn: Connection, vehicle_ids: Collection[str], fences: Iterable[Fence]
) -> dict[str, VehicleFacts]:
    """Read what the registry knows; a vehicle it does not know gets the defaults.

    A shared allowed region counts for every vehicle without one of its own, a shared yard for every
    vehicle in possession (pledge) without a yard of its own.
    """
    shared = _shared_fences(fences)
    own: dict[tuple[str, str], list[str]] = defaultdict(list)
    for vehicle_id, role, fence_id in facts_store.assignments(conn, vehicle_ids):
        own[vehicle_id, role].append(fence_id)
    devices: dict[str, dict[str, DeviceFacts]] = defaultdict(dict)
    for vehicle_id, *row in facts_store.devices(conn, vehicle_ids):
        devices[vehicle_id][row[0]] = _device(row)
    known = facts_store.vehicles(conn, vehicle_ids)
    result = {}
    for vehicle_id in vehicle_ids:
        custody, form = known.get(vehicle_id, ("pledgor", "mortgage"))
        yards = own[vehicle_id, "yard"] or (shared["yard"] if form == "pledge" else [])
        result[vehicle_id] = VehicleFacts(
            vehicle_id=vehicle_id,
            collateral_form=form,
            custody=custody,
            region_fence_ids=tuple(own[vehicle_id, "region"] or shared["allowed_region"]),
            yard_fence_ids=tuple(yards),
            devices=tuple(devices[vehicle_id].values()),
        )
    return result


def _shared_fences(fences: Iterable[Fence]) -> dict[str, list[str]]:
    """Return the ids of shared fences by the categories that bind vehicles."""
    shared: dict[str, set[str]] = {"allowed_region": set(), "yard": set()}
    for fence in fences:
        if fence.scope == "shared" and fence.category in shared:
            shared[fence.category].add(fence.id)
    return {category: sorted(ids) for category, ids in shared.items()}


def _device(row: list[Any]) -> DeviceFacts:
    device_id, power, moving_s, parked_s, sleep_s, installed_ms, removed_ms = row
    return DeviceFacts(
        device_id=device_id,
        power=power,
        installed_ms=installed_ms,
        removed_ms=removed_ms,
        moving_s=moving_s,
        parked_s=parked_s,
        sleep_s=sleep_s,
    )
