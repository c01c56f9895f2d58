"""What the tests of the stateful half share: registering vehicles, storing reports as ingest does."""

from __future__ import annotations

from datetime import UTC, datetime

import msgspec
from psycopg.types.json import Jsonb

from core.clock import from_ms, to_ms
from core.domain.report import Report
from core.telemetry.partitions import Partitions
from core.telemetry.writing import store as telemetry
from geofence.inputs import judged_undated

START_MS = to_ms(datetime(2026, 11, 2, 8, tzinfo=UTC))
MINUTE = 60_000
TIMEZONE = "Asia/Shanghai"
LAT, LON = 31.2304, 121.4737


def register(conn, vehicle_id, devices=("d1",), *, form="mortgage", power="wired", shard=0):
    """Put a vehicle with devices bound for ever into the registry."""
    conn.execute("INSERT INTO vehicle (vehicle_id) VALUES (%s)", (vehicle_id,))
    conn.execute(
        "INSERT INTO loan (loan_id, vehicle_id, collateral_form, principal_minor, balance_minor, snapshot_at)"
        " VALUES (%s, %s, %s, 100, 100, now())",
        (f"loan-{vehicle_id}", vehicle_id, form),
    )
    for device_id in devices:
        conn.execute(
            "INSERT INTO device (device_id, shard, power) VALUES (%s, %s, %s)", (device_id, shard, power)
        )
        conn.execute(
            "INSERT INTO device_binding (device_id, vehicle_id) VALUES (%s, %s)", (device_id, vehicle_id)
        )
    conn.commit()


def add_fence(conn, fence_id, lat, lon, *, radius_m=200.0, category="second_pledge", scope="shared"):
    """Store a circle that has always been in force."""
    import shapely

    from geofence.store.fences import add_version

    row = {
        "id": fence_id, "version": 1, "name": fence_id, "category": category, "kind": "circle",
        "wkb": shapely.to_wkb(shapely.Point(lon, lat)), "radius_m": radius_m, "width_m": None, "datum": "wgs84",
        "scope": scope, "hysteresis_m": None, "dwell_s": None,
    }  # fmt: skip
    add_version(conn, row, properties={}, valid_from_ms=None, created_by=None)
    conn.commit()


def report(minute, *, vehicle_id="v1", device_id="d1", lat=LAT, lon=LON, seq=None, **fields):
    """Return a report of a minute after START_MS; a fix unless told otherwise."""
    t_ms = START_MS + round(minute * MINUTE)
    values = {
        "type": "position", "fix_ms": t_ms, "device_ms": t_ms, "fix_valid": True, "lat": lat, "lon": lon,
        "speed_kmh": 0.0, "sat": 10, "hdop": 0.9, "received_ms": t_ms + 1500, "ignition": False,
    } | fields  # fmt: skip
    return Report(
        device_id=device_id, t_ms=t_ms, boot_id=1, seq=round(minute * 1000) if seq is None else seq,
        vehicle_id=vehicle_id, sha256=b"x" * 32, **values,
    )  # fmt: skip


def undated(received_minute, *alarms, seq=0, **fields):
    """Return an alarm of a tracker whose clock says 1970, as ingest makes it."""
    received_ms = START_MS + round(received_minute * MINUTE)
    made = report(
        received_minute, seq=seq, fix_valid=False, lat=None, lon=None, alarms=tuple(alarms), **fields
    )
    return msgspec.structs.replace(
        made, type="alarm", fix_ms=None, device_ms=86_400_000, t_ms=received_ms, received_ms=received_ms
    )


def is_undated(item):
    return item.type == "alarm" and item.device_ms == 86_400_000


def store_reports(conn, reports):
    """Store reports in the caller's transaction and return those that were new, as the rules see them."""
    ordered = sorted(reports, key=lambda item: item.order)
    unique = list({(item.device_id, item.t_ms, item.boot_id, item.seq): item for item in ordered}.values())
    Partitions(days_per_hour=10_000).ensure(conn, Partitions().missing(item.t_ms for item in unique))
    telemetry.prepare(conn)
    telemetry.stage(
        conn, ((n, item, "clock_past" if is_undated(item) else None) for n, item in enumerate(unique))
    )
    gone = {repeat.n for repeat in (*telemetry.insert_dated(conn), *telemetry.insert_undated(conn))}
    fresh = [item for n, item in enumerate(unique) if n not in gone]
    judged = [judged_undated(item) if is_undated(item) else item for item in fresh]
    return [item for item in judged if item is not None]


def ingest(conn, writer, reports, now_ms=None):
    """Store and judge a batch in one transaction, as the ingest worker does."""
    with conn.transaction():
        fresh = store_reports(conn, reports)
        newest = max((item.t_ms for item in fresh), default=START_MS)
        outcome = writer.apply(conn, fresh, now_ms=now_ms or newest)
    writer.committed()
    return outcome


def serve_replays(conn, replayer, now_ms=START_MS):
    """Serve replay requests until none is left; returns what they changed. ``conn`` is in autocommit."""
    outcomes = []
    while (outcome := replayer.run_once(conn, now_ms=now_ms)) is not None:
        outcomes.append(outcome)
        assert len(outcomes) < 200, "replays do not come to an end"
    return outcomes


def set_watermark(conn, moment_ms, slot=0):
    """Say that everything up to a moment is stored."""
    moment = from_ms(moment_ms)
    conn.execute(
        "INSERT INTO time_watermark (slot, received_until, probe_sent_at) VALUES (%s, %s, %s)"
        " ON CONFLICT (slot) DO UPDATE SET received_until = EXCLUDED.received_until",
        (slot, moment, moment),
    )


def set_thresholds(conn, version, numbers):
    conn.execute("INSERT INTO threshold_set (version, numbers) VALUES (%s, %s)", (version, Jsonb(numbers)))
