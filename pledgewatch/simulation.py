"""Wiring of the simulator: its fleet into the registry, its fences into force, its clock from ours."""

from __future__ import annotations

import csv
import threading
import zlib
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import msgspec

from collateral.contacts.cipher import open_cipher
from collateral.fleet import FleetContact, FleetDevice, FleetLoan, FleetParty, FleetVehicle
from collateral.provisioning import provision_fleet
from core import topics
from core.clock import Clock, from_ms, monotonic, to_ms
from core.db.pool import Connection, connect
from core.errors import NotFound, Rejected
from core.settings import Settings
from core.telemetry.clock import open_clock
from core.telemetry.store import newest_event_time
from geofence.editing import put_in_force
from geofence.fences import load_geojson
from ingest.slots.store import connected_slots
from pledgewatch.embedded.stack import StackHandle
from pledgewatch.wiring import publish_accounts
from simulator import domain
from simulator.city.geojson import FENCE_CATEGORIES, fences_geojson
from simulator.fleet.plan import FleetPlan

# Removal alarms are muted on the first day after an installation; simulated devices are not new.
INSTALLED_BEFORE = timedelta(days=45)
DUE_EVERY_DAYS = 30
INGEST_WAIT_S = 15.0
RESUME_OVERLAP = timedelta(minutes=30)  # longer than any weak-signal gap of the simulator
CREDENTIAL_COLUMNS = ("device_id", "shard", "username", "password")


def registry_fleet(plan: FleetPlan) -> list[FleetVehicle]:
    """Return the plan's vehicles, loans, people and devices as the registry takes them."""
    start = from_ms(plan.start_ms)
    return [_vehicle(vehicle, start) for vehicle in plan.vehicles]


def provision_plan(stack: StackHandle, settings: Settings, plan: FleetPlan) -> list[domain.Credential]:
    """Register a plan's fleet and fences, and let its devices into the broker."""
    with connect(stack.database_url, name="simulate") as conn:
        given = provision_fleet(
            conn,
            registry_fleet(plan),
            at=from_ms(plan.start_ms) - INSTALLED_BEFORE,
            cipher=open_cipher(settings),
        )
        put_fences_in_force(conn, plan, now_ms=to_ms(open_clock(conn, settings).now()))
        conn.commit()
    publish_accounts(stack)
    return [domain.Credential(c.device_id, c.shard, c.username, c.password) for c in given]


def provision_devices(stack: StackHandle, devices: Iterable[tuple[str, str]]) -> list[domain.Credential]:
    """Register the (vehicle, device) pairs of a recorded file, and let the devices into the broker."""
    by_vehicle: dict[str, list[str]] = {}
    for vehicle_id, device_id in devices:
        by_vehicle.setdefault(vehicle_id, []).append(device_id)
    fleet = [
        FleetVehicle(vehicle_id, tuple(FleetDevice(device_id) for device_id in device_ids))
        for vehicle_id, device_ids in by_vehicle.items()
    ]
    with connect(stack.database_url, name="simulate") as conn:
        # Recorded files are of any age: the devices were in their vehicles before all of them.
        given = provision_fleet(conn, fleet, at=datetime(1971, 1, 1, tzinfo=UTC))
        conn.commit()
    publish_accounts(stack)
    return [domain.Credential(c.device_id, c.shard, c.username, c.password) for c in given]


def await_ingest(stack: StackHandle, settings: Settings) -> bool:
    """Wait a little until every slot listens: what nobody subscribes to, a broker takes and throws away."""
    deadline = monotonic() + INGEST_WAIT_S
    idle = threading.Event()
    with connect(stack.database_url, name="simulate", autocommit=True) as conn:
        while connected_slots(conn) < settings.ingest_slots:
            if monotonic() > deadline:
                return False
            idle.wait(0.2)
    return True


def unsent(stack: StackHandle, plan: FleetPlan) -> tuple[Callable[[], Iterator[domain.DeviceReport]], int]:
    """Return what a plan has left to send when it was told before, and from when on.

    Devices store and send later what they could not send: a story that was interrupted goes on
    from shortly before the newest report that is stored; what is sent again is known again.
    """
    with connect(stack.database_url, name="simulate") as conn:
        newest = newest_event_time(conn)
    begin_ms = plan.start_ms if newest is None else max(plan.start_ms, to_ms(newest - RESUME_OVERLAP))
    return lambda: (report for report in plan.reports() if report.send_ms >= begin_ms), begin_ms


def put_fences_in_force(conn: Connection, plan: FleetPlan, *, now_ms: int) -> int:
    """Store the city's fences; returns how many are new or changed. Does not commit."""
    stored = 0
    for category in FENCE_CATEGORIES:
        loaded = load_geojson(msgspec.json.encode(fences_geojson(plan.city, category)), category, "wgs84")
        if loaded.refused:
            raise Rejected(f"Simulated fences: {'; '.join(map(str, loaded.refused))}", code="bad_fence")
        edit = put_in_force(conn, loaded.fences, now_ms=now_ms, created_by="simulate")
        stored += len(edit.added) + len(edit.changed)
    return stored


def read_credentials(path: Path) -> list[domain.Credential]:
    """Read `device_id,shard,username,password`.

    Raises:
        NotFound: there is no such file.
        Rejected: a column is missing, or a shard is not two hex digits 00-3f; names the line.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            return list(_credentials(csv.DictReader(file)))
    except OSError as exc:
        raise NotFound(f"Expected a credentials file, cannot read {path.name}: {exc.strerror}") from exc


def credentials_for_all(devices: Iterable[str]) -> list[domain.Credential]:
    """Return topic shards for devices that speak through somebody else's account."""
    return [domain.Credential(device, topics.default_shard(device), device, "") for device in devices]


def deployment_clock(stack: StackHandle, settings: Settings) -> Clock:
    """Open the deployment's telemetry clock, anchoring it when this is the first process to ask."""
    with connect(stack.database_url, name="simulate-clock") as conn:
        clock = open_clock(conn, settings)
        conn.commit()
    return clock


def _credentials(reader: csv.DictReader[str]) -> Iterator[domain.Credential]:
    missing = [name for name in CREDENTIAL_COLUMNS if name not in (reader.fieldnames or ())]
    if missing:
        raise Rejected(f"Credentials: expected a column {missing[0]}, was missing", code="bad_credentials")
    for row in reader:
        shard = row["shard"] or ""
        if not topics.SHARD.fullmatch(shard) or not row["device_id"]:
            raise Rejected(
                f"Credentials, line {reader.line_num}: expected a device and a shard 00-3f, was {shard!r}",
                code="bad_credentials",
            )
        yield domain.Credential(row["device_id"], int(shard, 16), row["username"], row["password"])


def _vehicle(vehicle: domain.FleetVehicle, start: datetime) -> FleetVehicle:
    # 000 is no exchange: the number has the form of a mobile phone and reaches nobody.
    phone = f"1380000{zlib.crc32(vehicle.vehicle_id.encode()) % 10_000:04d}"
    party = FleetParty(
        f"P-{vehicle.vehicle_id}", vehicle.borrower, contacts=(FleetContact("phone", phone, "本人"),)
    )
    overdue = vehicle.days_past_due > 0
    next_due = start.date() + timedelta(days=-vehicle.days_past_due if overdue else DUE_EVERY_DAYS // 2)
    return FleetVehicle(
        vehicle.vehicle_id,
        devices=tuple(
            FleetDevice(
                device.device_id,
                power=device.power,
                moving_s=device.moving_s,
                parked_s=device.parked_s,
                sleep_s=device.sleep_s,
                installed_at=start - INSTALLED_BEFORE,
            )
            for device in vehicle.devices
        ),
        vin=vehicle.vin,
        plate=vehicle.plate,
        engine_number=vehicle.engine_no,
        make=vehicle.make,
        model=vehicle.model,
        model_year=vehicle.model_year,
        colour=vehicle.colour,
        first_registration=date.fromisoformat(vehicle.first_registration),
        custody="lender_yard" if vehicle.collateral_form == "pledge" else "pledgor",
        pledgor=party,
        loan=FleetLoan(
            f"L-{vehicle.vehicle_id}",
            principal_minor=vehicle.principal_minor,
            balance_minor=vehicle.balance_minor,
            snapshot_at=start,
            collateral_form=vehicle.collateral_form,
            days_past_due=vehicle.days_past_due,
            next_due_on=next_due,
            status="overdue" if overdue else "active",
            borrower=party,
        ),
    )
