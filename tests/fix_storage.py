"""Reports stored without broker or ingest, for tests of what happens to them afterwards."""

from __future__ import annotations

import hashlib
import itertools
import math
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from core.clock import from_ms, to_ms
from core.db.pool import Connection
from core.domain.report import Report
from core.telemetry.partitions import Partitions
from core.telemetry.writing import store as writing

NOW = datetime(2026, 11, 22, 6, 20, tzinfo=UTC)
METRES_PER_DEGREE = 111_194.92664455873


def report(device_id: str, seq: int, t: datetime, **said: Any) -> Report:
    """A fix of a vehicle of the device's own, unless told otherwise."""
    values: dict[str, Any] = {
        "vehicle_id": f"car-{device_id}", "fix_ms": to_ms(t), "received_ms": to_ms(t) + 900, "fix_valid": True,
        "lat": 31.2, "lon": 121.4, "speed_kmh": 0.0, "accuracy_m": 8.0, "boot_id": 1,
    } | said  # fmt: skip
    sha256 = hashlib.sha256(f"{device_id}{seq}{values}".encode()).digest()
    return Report(device_id=device_id, t_ms=to_ms(t), seq=seq, type="position", sha256=sha256, **values)


def put(conn: Connection, reports: Sequence[Report], *, undated: str | None = None) -> int:
    """Store as ingest does, in transactions of their own; returns how many were new."""
    with conn.transaction():
        Partitions(4_000).ensure(conn, {from_ms(one.t_ms).date() for one in reports})
    ordered = sorted(reports, key=lambda one: (one.device_id, *one.order))
    with conn.transaction():
        writing.prepare(conn)
        writing.stage(conn, ((n, one, undated) for n, one in enumerate(ordered)))
        repeats = writing.insert_undated(conn) if undated else writing.insert_dated(conn)
        writing.upsert_latest(conn)
        writing.upsert_status(conn)
    return len(reports) - len(repeats)


def drive(
    device_id: str, start: datetime, fixes: int, *, every_s: float = 30.0, kmh: float = 36.0, **said: Any
) -> list[Report]:
    """A drive due north at a steady speed."""
    step = kmh / 3.6 * every_s / METRES_PER_DEGREE
    first = said.pop("first_seq", 0)
    return [
        report(
            device_id, first + n, start + timedelta(seconds=n * every_s),
            **({"lat": 31.0 + n * step, "speed_kmh": kmh} | said),
        )
        for n in range(fixes)
    ]  # fmt: skip


def brute_rollups(reports: Iterable[Report], width: timedelta) -> dict[tuple[Any, ...], tuple[Any, ...]]:
    """What the rollups must say, added up the slow way."""
    groups: dict[tuple[Any, ...], list[Report]] = {}
    for one in reports:
        bucket = one.t_ms - one.t_ms % (width // timedelta(milliseconds=1))
        groups.setdefault((from_ms(bucket), one.device_id, one.vehicle_id), []).append(one)
    return {key: _brute(sorted(group, key=lambda one: one.order)) for key, group in groups.items()}


def _brute(group: list[Any]) -> tuple[Any, ...]:
    fixes = [one for one in group if one.fix_valid]
    placed = [
        one
        for one in fixes
        if one.lat is not None and one.lon is not None and (one.accuracy_m or 0) <= 100
        and (one.fix_source or "gnss") in {"gnss", "dr"}
    ]  # fmt: skip
    metres = moving = 0.0
    for before, after in itertools.pairwise(placed):
        seconds = (after.t_ms - before.t_ms) / 1000
        if seconds <= 0:
            continue
        east = (after.lon - before.lon + 540) % 360 - 180
        east *= math.cos(math.radians((after.lat + before.lat) / 2))
        leg = METRES_PER_DEGREE * math.hypot(after.lat - before.lat, east)
        speed = leg / seconds * 3.6
        if speed > 300:
            continue
        if seconds > 600:
            metres += leg if leg >= 200 else 0
            continue
        if before.speed_kmh is None or after.speed_kmh is None:
            moves = speed >= 5 and leg >= 30
        else:
            moves = max(before.speed_kmh, after.speed_kmh) >= 5
        if moves:
            metres, moving = metres + leg, moving + seconds
    speeds = [one.speed_kmh for one in fixes if one.speed_kmh is not None]
    return len(group), len(fixes), metres, moving, max(speeds, default=None)
