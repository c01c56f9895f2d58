"""The inputs of a vehicle as they are stored: reports, undated alarms and time marks, in event order."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from core.domain.report import Report
from core.telemetry import store as telemetry
from geofence.domain import BEGINNING_MS, TimeMark
from geofence.engine import input_order, is_late, is_undated
from geofence.store import deadlines as deadline_store
from geofence.store import inputs as inputs_store

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from core.db.pool import Connection
    from geofence.state import VehicleState

Input = Report | TimeMark

WINDOW_MS = 2 * 86_400_000
"""How much event time is read at once: a wired device sends some 6,000 reports in it."""


def judged_undated(report: Report) -> Report | None:
    """Return what the rules see of a report without a plausible time; None: it has no alarm to judge.

    Ingest and the replayer both come through here, or a replay would differ from the first run.
    """
    if not report.alarms:
        return None
    return msgspec.structs.replace(report, t_ms=report.received_ms, type="alarm", fix_valid=False)


def through_ms(state: VehicleState) -> int:
    """Return the moment up to which the state has seen what there was: reports, marks, undated alarms."""
    reached_ms = max(BEGINNING_MS, state.last[0])
    for device in state.devices.values():
        if device.undated is not None and device.undated.last[0] > reached_ms:
            reached_ms = device.undated.last[0]
    return reached_ms


def is_overtaken(state: VehicleState, report: Report) -> bool:
    """Return whether something later was judged before a report that the engine still takes.

    The engine keeps undated alarms apart from event order, so neither is late for it. What a
    finding says of the surroundings (the last position) can differ all the same.
    """
    reached_ms = through_ms(state)
    return report.t_ms <= reached_ms and (is_undated(report) or reached_ms > state.last[0])


def windows(conn: Connection, state: VehicleState) -> Iterator[list[Input]]:
    """Yield what the state has not seen, in event order, a window of event time at a time.

    Each window is read when it is asked for, so a long replay sees what is stored meanwhile.
    """
    after_ms = _before(state)
    while (first_ms := inputs_store.next_input_ms(conn, state.vehicle_id, after_ms)) is not None:
        until_ms = first_ms + WINDOW_MS
        if found := _read(conn, state, after_ms, until_ms):
            yield found
        after_ms = until_ms


def newer(conn: Connection, state: VehicleState) -> list[Input]:
    """Return everything that is stored and comes after what the state has seen, in event order."""
    return _read(conn, state, _before(state), None)


def newer_of_many(conn: Connection, states: Mapping[str, VehicleState]) -> dict[str, list[Input]]:
    """Return the same for many vehicles with one question to each table; those without are left out."""
    after_ms = {vehicle_id: _before(state) for vehicle_id, state in states.items()}
    found: dict[str, list[Input]] = {}
    for report in telemetry.reports_after(conn, after_ms):
        found.setdefault(report.vehicle_id or "", []).append(report)
    for report in telemetry.undated_after(conn, after_ms):
        judged = judged_undated(report)
        if judged is not None:
            found.setdefault(report.vehicle_id or "", []).append(judged)
    for mark in deadline_store.marks_after(conn, after_ms):
        found.setdefault(mark.vehicle_id, []).append(mark)
    unseen = {
        vehicle_id: sorted((item for item in items if not _seen(states[vehicle_id], item)), key=input_order)
        for vehicle_id, items in found.items()
    }
    return {vehicle_id: items for vehicle_id, items in unseen.items() if items}


def _before(state: VehicleState) -> int:
    """Return a moment just before the newest input: others of its millisecond may be unseen."""
    return max(BEGINNING_MS, state.last[0] - 1)


def _read(conn: Connection, state: VehicleState, after_ms: int, until_ms: int | None) -> list[Input]:
    vehicle_id = state.vehicle_id
    found: list[Input] = [*telemetry.reports_of_vehicle(conn, vehicle_id, after_ms, until_ms)]
    for report in telemetry.undated_of_vehicle(conn, vehicle_id, after_ms):
        judged = judged_undated(report)
        if judged is not None and (until_ms is None or judged.t_ms <= until_ms):
            found.append(judged)
    found += deadline_store.marks_of_vehicle(conn, vehicle_id, after_ms, until_ms)
    return sorted((item for item in found if not _seen(state, item)), key=input_order)


def _seen(state: VehicleState, item: Input) -> bool:
    if isinstance(item, Report) and is_undated(item):
        device = state.devices.get(item.device_id)
        undated = None if device is None else device.undated
        return undated is not None and (item.t_ms, item.boot_id, item.seq) <= undated.last
    return is_late(state, item)
