"""The engine over a recorded file: no broker, no database (contracts, `replay`).

Passed time comes from the file, as under the data clock: silences and dwells are marked the
moment they are due, up to the file's last report.
"""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TextIO

import msgspec

from core.clock import from_ms
from core.domain.finding import Finding
from core.domain.report import Report
from core.tracks import TrackFile, TrackRow
from geofence.domain import VehicleFacts
from geofence.engine import advance, initial_state, input_order, pass_time
from geofence.fence import Fence
from geofence.index import Context

COLUMNS = (
    "vehicle_id",
    "rule",
    "scope",
    "event",
    "event_time",
    "detected_time",
    "lat",
    "lon",
    "severity",
    "evidence",
)
_REPORT_FIELDS = frozenset(Report.__struct_fields__) - {"vehicle_id", "device_id", "lat", "lon", "alarms"}

Tell = Callable[[int], None]
"""Called with the number of reports judged since the last call."""


def to_report(row: TrackRow, boot_id: int) -> Report:
    """Return the report that a device would have sent for a row."""
    fields = row.fields
    lat, lon = fields.get("lat"), fields.get("lon")
    placed = lat is not None and lon is not None
    values = {name: value for name, value in fields.items() if name in _REPORT_FIELDS}
    values.update(
        t_ms=row.ts_ms,
        boot_id=boot_id,
        seq=row.seq,
        type="position" if placed else "heartbeat",
        received_ms=fields.get("received_ms", row.ts_ms),
        fix_ms=row.ts_ms if placed else None,
        device_ms=row.ts_ms,
        fix_valid=placed and fields.get("fix_valid", True),
    )
    return Report(
        device_id=fields.get("device_id", row.vehicle_id),
        vehicle_id=row.vehicle_id,
        lat=lat,
        lon=lon,
        alarms=tuple(fields.get("alarms", ())),
        **values,
    )


def facts_of(vehicle_id: str, fences: Sequence[Fence]) -> VehicleFacts:
    """Return what a file says of a vehicle: fences of category allowed_region bind all of them."""
    regions = tuple(dict.fromkeys(f.id for f in fences if f.category == "allowed_region"))
    return VehicleFacts(vehicle_id=vehicle_id, region_fence_ids=regions)


def replay(tracks: TrackFile, context: Context, tell: Tell = lambda _: None) -> Iterator[Finding]:
    """Yield the findings of a file, vehicle by vehicle in the order of their ids."""
    by_vehicle: dict[str, list[Report]] = {}
    last_ms = 0
    for row in tracks.distinct():
        by_vehicle.setdefault(row.vehicle_id, []).append(to_report(row, tracks.boot_id))
        last_ms = max(last_ms, row.ts_ms)
    for vehicle_id in sorted(by_vehicle):
        reports = sorted(by_vehicle.pop(vehicle_id), key=input_order)
        facts = facts_of(vehicle_id, context.fences.fences)
        state, found = advance(initial_state(vehicle_id), reports, facts, context, derive_marks=True)
        yield from found
        yield from pass_time(state, facts, context, last_ms).findings
        tell(len(reports))


def write_events(findings: Iterable[Finding], out: TextIO) -> int:
    """Write findings as the contracts' events file, in event order; returns how many."""
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(COLUMNS)
    ordered = sorted(findings, key=lambda f: (f.event_ms, f.vehicle_id or "", f.rule, f.scope, f.event))
    for found in ordered:
        writer.writerow(
            (
                found.vehicle_id,
                found.rule,
                found.scope,
                found.event,
                _time(found.event_ms),
                _time(found.detected_ms),
                "" if found.lat is None else f"{found.lat:.6f}",
                "" if found.lon is None else f"{found.lon:.6f}",
                found.severity.value if found.severity else "",
                msgspec.json.encode(found.evidence).decode(),
            )
        )
    return len(ordered)


def _time(moment_ms: int) -> str:
    return from_ms(moment_ms).isoformat(timespec="milliseconds").replace("+00:00", "Z")
