"""Parsed rows are judged against each other and the registry, then written in a few statements.

Each writer adds faults for what it finds and writes only when there is none.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from collateral import bindings
from collateral.contacts import book as contact_book
from collateral.contacts import store as contact_store
from collateral.contacts.book import NewContact
from collateral.contacts.cipher import ContactCipher
from collateral.contacts.store import SealedContact
from collateral.contacts.values import ContactKind
from collateral.devices import store as device_store
from collateral.domain import Device, LoanSnapshot, Party, UpsertCounts, Vehicle
from collateral.imports.columns import Parsed, Row
from collateral.loans import book as loan_book
from collateral.loans import store as loan_store
from collateral.org.store import list_units
from collateral.parties import store as party_store
from collateral.vehicles import store as vehicle_store
from core.errors import Conflict, Misconfigured, Rejected
from core.topics import default_shard

if TYPE_CHECKING:
    from core.db.pool import Connection


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What a file does not say: the telemetry time of moves, the cipher of contacts, the usual currency."""

    at: datetime | None = None
    cipher: ContactCipher | None = None
    currency: str = "CNY"


def write_vehicles(conn: Connection, parsed: Parsed, _: Surroundings) -> UpsertCounts:
    """Write vehicles; a row without an id is the vehicle with its VIN."""
    vins = [row.values["vin"] for row in parsed.rows if "vin" in row.values]
    owners = vehicle_store.vehicles_by_vin(conn, vins)
    units = {name: unit.org_id for unit in list_units(conn) for name in (unit.org_id, unit.name)}
    vehicles: list[Vehicle] = []
    for row in parsed.rows:
        vin: str = row.values.get("vin", "")
        vehicle_id: str = row.values.get("vehicle_id") or owners.get(vin, vin)
        if owners.get(vin, vehicle_id) != vehicle_id:
            parsed.fault(row.line, "vin", "vin_taken", f"VIN {vin} belongs to vehicle {owners[vin]}")
        org = row.values.get("org_id")
        if org is not None and org not in units:
            parsed.fault(row.line, "org_id", "unknown_org_unit", f"branch {org!r} is not registered")
        vehicles.append(
            Vehicle(**{**row.values, "vehicle_id": vehicle_id, "org_id": units.get(org) if org else None})
        )
    _refuse_repeats(parsed, "vin", [vehicle.vin for vehicle in vehicles])
    _refuse_repeats(parsed, "vehicle_id", [vehicle.vehicle_id for vehicle in vehicles])
    if parsed.faults:
        return UpsertCounts()
    party_store.add_missing_parties(conn, _present(vehicle.pledgor_id for vehicle in vehicles))
    return vehicle_store.upsert_vehicles(conn, vehicles)


def write_loans(conn: Connection, parsed: Parsed, around: Surroundings) -> UpsertCounts:
    """Write snapshots of loans on registered vehicles."""
    known = _vehicles_of(conn, parsed)
    stored = loan_store.currencies_of(conn, [row.values["loan_id"] for row in parsed.rows])
    snapshots = []
    for row in parsed.rows:
        _refuse_both(parsed, row, "balance")
        _refuse_both(parsed, row, "principal")
        values = row.values
        currency = values.get("currency") or around.currency
        if stored.get(values["loan_id"], currency) != currency:
            parsed.fault(
                row.line, "currency", "currency_mismatch",
                f"loan {values['loan_id']} is in {stored[values['loan_id']]}, was {currency}",
            )  # fmt: skip
        taken_at, covers_until = values["snapshot_at"]
        snapshot = LoanSnapshot(
            values["loan_id"],
            known.get(values["vehicle"], values["vehicle"]),
            values["balance"] if "balance" in values else values["balance_minor"],
            taken_at,
            principal_minor=values.get("principal", values.get("principal_minor")),
            currency=currency,
            collateral_form=values.get("collateral_form"),
            days_past_due=values.get("days_past_due"),
            next_due_on=values.get("next_due_on"),
            status=values.get("status"),
            borrower_id=values.get("borrower_id"),
            pledgor_id=values.get("pledgor_id"),
            covers_until=None if covers_until == taken_at else covers_until,
        )
        try:
            loan_book.check_snapshot(snapshot)
        except Rejected as exc:
            parsed.fault(row.line, "", exc.code, exc.message)
        snapshots.append(snapshot)
    _refuse_repeats(parsed, "loan_id", [snapshot.loan_id for snapshot in snapshots])
    if parsed.faults:
        return UpsertCounts()
    people = (one for snapshot in snapshots for one in (snapshot.borrower_id, snapshot.pledgor_id))
    party_store.add_missing_parties(conn, _present(people))
    return loan_book.upsert_loans(conn, snapshots)


def write_devices(conn: Connection, parsed: Parsed, around: Surroundings) -> UpsertCounts:
    """Write devices and put those with a vehicle into it; passwords are given later, by `device add`."""
    known = _vehicles_of(conn, parsed)
    devices = [
        Device(
            row.values["device_id"],
            **{
                name: row.values.get(name)
                for name in ("power", "model", "sim_iccid", "moving_s", "parked_s", "sleep_s")
            },
        )
        for row in parsed.rows
    ]
    _refuse_repeats(parsed, "device_id", [device.device_id for device in devices])
    if parsed.faults:
        return UpsertCounts()
    counts = device_store.upsert_devices(
        conn, [(device, default_shard(device.device_id)) for device in devices]
    )
    placements = [
        bindings.Placement(
            row.values["device_id"],
            known[row.values["vehicle"]],
            row.values["installed_at"][0] if "installed_at" in row.values else None,
        )
        for row in parsed.rows
        if "vehicle" in row.values
    ]
    try:
        moved = bindings.bind(conn, placements, at=around.at)
    except Conflict as exc:
        line = next(
            (row.line for row in parsed.rows if row.values["device_id"] == exc.facts.get("device_id")), 0
        )
        parsed.fault(line, "vehicle", exc.code, exc.message)
        return UpsertCounts()
    # A device whose own columns stayed but whose vehicle changed is an update too.
    written = counts.inserted + counts.updated
    moved_only = min(counts.unchanged, max(0, len(moved) - written))
    return UpsertCounts(counts.inserted, counts.updated + moved_only, counts.unchanged - moved_only)


def write_contacts(conn: Connection, parsed: Parsed, around: Surroundings) -> UpsertCounts:
    """Seal and write contacts, one per filled value column; unknown parties are registered."""
    if around.cipher is None:
        raise Misconfigured("Contacts: expected a cipher to seal them with", code="contacts_key_missing")
    sealed: dict[Hashable, SealedContact] = {}
    aliases: dict[str, str] = {}
    for row in parsed.rows:
        party_id = row.values["party_id"]
        if "alias" in row.values:
            aliases[party_id] = row.values["alias"]
        for field, kind in _values_of(parsed, row):
            new = NewContact(
                party_id,
                kind,
                row.values[field],
                row.values.get("label", ""),
                row.values.get("third_party", False),
            )
            try:
                one = contact_book.seal(around.cipher, new)
            except Rejected as exc:
                parsed.fault(row.line, field, exc.code, exc.message)
                continue
            if sealed.setdefault((party_id, kind, one.blind_index), one) is not one:
                parsed.fault(
                    row.line, field, "duplicate_key", f"this {kind} of {party_id} is in the file twice"
                )
    if parsed.faults:
        return UpsertCounts()
    party_store.add_missing_parties(conn, [row.values["party_id"] for row in parsed.rows])
    party_store.set_aliases(conn, [Party(party_id, alias) for party_id, alias in aliases.items()])
    written = contact_store.upsert_contacts(conn, list(sealed.values()))
    new_count = sum(written)
    return UpsertCounts(new_count, len(written) - new_count, len(sealed) - len(written))


WRITERS = {
    "vehicles": write_vehicles,
    "loans": write_loans,
    "devices": write_devices,
    "contacts": write_contacts,
}


def _values_of(parsed: Parsed, row: Row) -> Iterable[tuple[str, str]]:
    if "value" in row.values:
        if "kind" not in row.values:
            parsed.fault(row.line, "kind", "missing_value", "expected kind beside value, was empty")
        else:
            yield "value", row.values["kind"]
    for kind in ContactKind:
        if kind.value in row.values:
            yield kind.value, kind.value


def _vehicles_of(conn: Connection, parsed: Parsed) -> dict[str, str]:
    """Map what rows call their vehicle to its id; unknown ones are faults."""
    names = {row.values["vehicle"] for row in parsed.rows if "vehicle" in row.values}
    found = vehicle_store.find_vehicle_ids(conn, [*names, *(name.upper() for name in names)])
    known = {name: found.get(name) or found.get(name.upper()) for name in names}
    for row in parsed.rows:
        name = row.values.get("vehicle")
        if name is not None and known[name] is None:
            parsed.fault(row.line, "vehicle", "unknown_vehicle", f"vehicle {name} is not registered")
    return {name: vehicle_id for name, vehicle_id in known.items() if vehicle_id is not None}


def _refuse_repeats(parsed: Parsed, field: str, keys: list[str | None]) -> None:
    """Fault the second and later rows with a key, once a row; rows and keys run in parallel."""
    known = {fault.line for fault in parsed.faults if fault.code == "duplicate_key"}
    first: dict[str, int] = {}
    for row, key in zip(parsed.rows, keys, strict=True):
        if key is not None and first.setdefault(key, row.line) != row.line and row.line not in known:
            parsed.fault(row.line, field, "duplicate_key", f"{key} is in line {first[key]} too")


def _refuse_both(parsed: Parsed, row: Row, field: str) -> None:
    if field in row.values and f"{field}_minor" in row.values:
        parsed.fault(row.line, field, "given_twice", f"expected {field} or {field}_minor, was both")


def _present(values: Iterable[str | None]) -> list[str]:
    return sorted({value for value in values if value is not None})
