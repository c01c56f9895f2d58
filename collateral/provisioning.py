"""Devices get a topic shard and a broker account; whole fleets are registered in one go.

The password is told once, in the returned credential; stored is its hash. After a change the broker
must read its accounts again: `broker_accounts` is what its password file should hold.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from collateral import bindings
from collateral.commands import store as commands
from collateral.contacts.book import NewContact, add_contacts
from collateral.contacts.cipher import ContactCipher
from collateral.devices import store
from collateral.domain import Device, LoanSnapshot, Party, Power, Vehicle
from collateral.fleet import FleetDevice, FleetLoan, FleetParty, FleetVehicle
from collateral.loans.book import upsert_loans
from collateral.parties.store import upsert_parties
from collateral.vehicles.store import find_vehicle_ids, upsert_vehicles
from collateral.vin import looks_like_vin, parse_vin
from core.errors import Conflict, NotFound, Rejected
from core.mqtt_passwords import mosquitto_password_hash, new_mqtt_password
from core.topics import DEVICE_ID, default_shard

if TYPE_CHECKING:
    from core.db.pool import Connection

RESERVED_DEVICE_IDS = frozenset({"ingest", "gateway"})
"""Broker accounts of our own processes; a device of that name would inherit their rights."""


@dataclass(frozen=True, slots=True)
class Credential:
    """What a device needs to speak. The only place the password ever is."""

    device_id: str
    shard: int
    username: str
    password: str


def check_device_id(device_id: str) -> str:
    """Return the id when it can be a device's.

    Raises:
        Rejected: other characters than letters, digits, ``_`` and ``-``, longer than 32, not beginning
            with a letter or digit, or the name of one of our own broker accounts.
    """
    if not DEVICE_ID.fullmatch(device_id) or not device_id[0].isalnum() or device_id in RESERVED_DEVICE_IDS:
        raise Rejected(
            "Device id: expected 1-32 letters, digits, '_' or '-', beginning with a letter or digit, "
            f"and none of {', '.join(sorted(RESERVED_DEVICE_IDS))}; was {device_id!r}",
            code="bad_device_id",
        )
    return device_id


def add_device(
    conn: Connection,
    device_id: str,
    vehicle_id: str | None = None,
    *,
    power: str = "wired",
    password: str | None = None,
    at: datetime | None = None,
) -> Credential:
    """Register a device, put it into a vehicle, and let it speak.

    A device that was imported without a password, or revoked, is let in again. An unknown vehicle id is
    registered with nothing else known of it; one of 17 characters must be a right VIN.

    Raises:
        Rejected: a bad device id, power or VIN.
        Conflict: the device can speak already (``device_exists``), or the binding is out of order.
    """
    check_device_id(device_id)
    power = _power(power)
    stored = store.enrolments(conn, [device_id]).get(device_id)
    if stored is not None and stored.has_password:
        raise Conflict(
            f"Device {device_id}: already registered; rotate gives it a new password", code="device_exists"
        )
    store.upsert_devices(conn, [(Device(device_id, power=power), default_shard(device_id))])
    if vehicle_id is not None:
        bindings.bind(
            conn, [bindings.Placement(device_id, resolve_or_register_vehicle(conn, vehicle_id))], at=at
        )
    return _issue(conn, [(device_id, password)])[0]


def rotate(conn: Connection, device_id: str, *, password: str | None = None) -> Credential:
    """Give a device a new password; the old one ends when the broker has read its accounts again.

    Raises:
        NotFound: the device is not registered.
        Conflict: it is revoked; `add_device` lets it in again.
    """
    stored = store.enrolments(conn, [device_id]).get(device_id)
    if stored is None:
        raise NotFound(f"Device {device_id}: not registered", code="device_not_found")
    if stored.revoked:
        raise Conflict(f"Device {device_id}: revoked; add it again to let it in", code="device_revoked")
    return _issue(conn, [(device_id, password)])[0]


def revoke(conn: Connection, device_id: str) -> bool:
    """Shut a device out, and take back what was asked of it; false when it was shut out already.

    Raises:
        NotFound: the device is not registered.
    """
    if device_id not in store.enrolments(conn, [device_id]):
        raise NotFound(f"Device {device_id}: not registered", code="device_not_found")
    commands.cancel_all(conn, device_id, by="system:provisioning", detail="device revoked")
    return store.revoke_device(conn, device_id)


def broker_accounts(conn: Connection) -> list[tuple[str, str]]:
    """Return (username, $7$ hash) of every device that may connect; revoked ones are left out."""
    return store.broker_accounts(conn)


def provision_fleet(
    conn: Connection,
    vehicles: Iterable[FleetVehicle],
    *,
    at: datetime | None = None,
    cipher: ContactCipher | None = None,
    batch: int = 5_000,
) -> list[Credential]:
    """Register vehicles, parties, loans, devices and bindings; every device gets a new password.

    Idempotent apart from the passwords. ``at`` is the telemetry time of moves between vehicles; ``cipher`` is
    needed for parties with contacts.

    Raises:
        Rejected: a bad device id or power, or a vehicle or device named twice.
        Conflict: a device is revoked, or sits in another vehicle and ``at`` is missing.
    """
    fleet = list(vehicles)
    _refuse_repeats("vehicle", (vehicle.vehicle_id for vehicle in fleet))
    _refuse_repeats("device", (device.device_id for vehicle in fleet for device in vehicle.devices))
    credentials: list[Credential] = []
    for start in range(0, len(fleet), batch):
        credentials += _provision_batch(conn, fleet[start : start + batch], at, cipher)
    return credentials


def resolve_or_register_vehicle(conn: Connection, text: str) -> str:
    """Return the id of the vehicle with this id or VIN; an unknown one is registered.

    Raises:
        Rejected: it has the form of a VIN and a wrong check digit: a typing mistake, not a new vehicle.
    """
    wanted = text.strip()
    if not wanted:
        raise Rejected("Vehicle: expected an id or VIN, was empty", code="bad_vehicle_id")
    found = find_vehicle_ids(conn, [wanted, wanted.upper()])
    known = found.get(wanted) or found.get(wanted.upper())
    if known is not None:
        return known
    vin = parse_vin(wanted) if looks_like_vin(wanted) else None
    upsert_vehicles(conn, [Vehicle(vin or wanted, vin=vin)])
    return vin or wanted


def _provision_batch(
    conn: Connection, fleet: Sequence[FleetVehicle], at: datetime | None, cipher: ContactCipher | None
) -> list[Credential]:
    devices = [device for vehicle in fleet for device in vehicle.devices]
    for device in devices:
        check_device_id(device.device_id)
        _power(device.power)
    revoked = [
        stored.device_id
        for stored in store.enrolments(conn, [device.device_id for device in devices]).values()
        if stored.revoked
    ]
    if revoked:
        raise Conflict(
            f"Expected devices that are not revoked, {len(revoked)} are: {', '.join(revoked[:5])}",
            code="device_revoked",
        )
    _write_parties(conn, fleet, cipher)
    upsert_vehicles(conn, [_vehicle(vehicle) for vehicle in fleet])
    upsert_loans(conn, [_loan(vehicle, vehicle.loan) for vehicle in fleet if vehicle.loan is not None])
    store.upsert_devices(conn, [(_device(device), default_shard(device.device_id)) for device in devices])
    placements = [
        bindings.Placement(device.device_id, vehicle.vehicle_id, device.installed_at)
        for vehicle in fleet
        for device in vehicle.devices
    ]
    bindings.bind(conn, placements, at=at)
    return _issue(conn, [(device.device_id, device.password) for device in devices])


def _issue(conn: Connection, wanted: Sequence[tuple[str, str | None]]) -> list[Credential]:
    shards = store.enrolments(conn, [device_id for device_id, _ in wanted])
    credentials = [
        Credential(device_id, shards[device_id].shard, device_id, password or new_mqtt_password())
        for device_id, password in wanted
    ]
    store.set_password_hashes(
        conn, [(given.device_id, mosquitto_password_hash(given.password)) for given in credentials]
    )
    return credentials


def _write_parties(conn: Connection, fleet: Sequence[FleetVehicle], cipher: ContactCipher | None) -> None:
    parties: dict[str, FleetParty] = {}
    for vehicle in fleet:
        for party in (vehicle.pledgor, vehicle.loan.borrower if vehicle.loan else None):
            if party is not None:
                parties[party.party_id] = party
    upsert_parties(conn, [Party(p.party_id, p.alias, p.kind) for p in parties.values()])
    contacts = [
        NewContact(party.party_id, contact.kind, contact.value, contact.label, contact.third_party)
        for party in parties.values()
        for contact in party.contacts
    ]
    if contacts:
        if cipher is None:
            raise Rejected("Fleet: expected a cipher for the contacts of its parties", code="cipher_missing")
        add_contacts(conn, cipher, contacts)


def _vehicle(vehicle: FleetVehicle) -> Vehicle:
    return Vehicle(
        vehicle.vehicle_id,
        vin=vehicle.vin,
        plate=vehicle.plate,
        engine_number=vehicle.engine_number,
        make=vehicle.make,
        model=vehicle.model,
        model_year=vehicle.model_year,
        colour=vehicle.colour,
        first_registration=vehicle.first_registration,
        use_character=vehicle.use_character,
        emission_stage=vehicle.emission_stage,
        custody=vehicle.custody,
        org_id=vehicle.org_id,
        pledgor_id=vehicle.pledgor.party_id if vehicle.pledgor else None,
    )


def _loan(vehicle: FleetVehicle, loan: FleetLoan) -> LoanSnapshot:
    return LoanSnapshot(
        loan.loan_id,
        vehicle.vehicle_id,
        loan.balance_minor,
        loan.snapshot_at,
        principal_minor=loan.principal_minor,
        currency=loan.currency,
        collateral_form=loan.collateral_form,
        days_past_due=loan.days_past_due,
        next_due_on=loan.next_due_on,
        status=loan.status,
        borrower_id=loan.borrower.party_id if loan.borrower else None,
        pledgor_id=vehicle.pledgor.party_id if vehicle.pledgor else None,
    )


def _device(device: FleetDevice) -> Device:
    return Device(
        device.device_id,
        power=device.power,
        model=device.model,
        moving_s=device.moving_s,
        parked_s=device.parked_s,
        sleep_s=device.sleep_s,
    )


def _power(text: str) -> str:
    if text not in set(Power):
        raise Rejected(f"Power: expected {' or '.join(Power)}, was {text!r}", code="bad_power")
    return text


def _refuse_repeats(what: str, ids: Iterable[str]) -> None:
    seen: set[str] = set()
    for one in ids:
        if one in seen:
            raise Rejected(f"Fleet: expected {what} {one} once, was given twice", code="duplicate_in_fleet")
        seen.add(one)
