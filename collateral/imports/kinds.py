"""The four kinds of file: how each field is read."""

from __future__ import annotations

from collateral.contacts.values import ContactKind
from collateral.imports import cells
from collateral.imports.cells import CellContext
from collateral.imports.columns import Kind, Reader
from collateral.plates import parse_plate
from collateral.provisioning import check_device_id
from collateral.vin import parse_vin
from core.domain.money import check_currency


def _word(name: str) -> Reader:
    return lambda text, _: cells.read_word(name, text)


def _currency(text: str, _: CellContext) -> str:
    return "CNY" if text in {"人民币", "RMB", "元"} else check_currency(text.upper())


VEHICLES = Kind(
    "vehicles",
    {
        "vehicle_id": cells.read_id,
        "vin": lambda text, _: parse_vin(text),
        "plate": lambda text, _: parse_plate(text),
        "engine_number": cells.read_engine_number,
        "make": cells.read_text,
        "model": cells.read_text,
        "model_year": cells.read_year,
        "colour": cells.read_text,
        "first_registration": cells.read_date,
        "use_character": _word("use_character"),
        "emission_stage": _word("emission_stage"),
        "custody": _word("custody"),
        "org_id": cells.read_text,
        "pledgor_id": cells.read_id,
    },
    required=[("vehicle_id", "vin")],
)

LOANS = Kind(
    "loans",
    {
        "loan_id": cells.read_id,
        "vehicle": cells.read_id,
        "borrower_id": cells.read_id,
        "pledgor_id": cells.read_id,
        "collateral_form": _word("collateral_form"),
        "currency": _currency,
        "principal": cells.read_amount,
        "principal_minor": cells.read_minor,
        "balance": cells.read_amount,
        "balance_minor": cells.read_minor,
        "days_past_due": cells.read_count,
        "next_due_on": cells.read_date,
        "status": _word("status"),
        "snapshot_at": cells.read_moment,
    },
    required=[("loan_id",), ("vehicle",), ("balance", "balance_minor"), ("snapshot_at",)],
)

DEVICES = Kind(
    "devices",
    {
        "device_id": lambda text, _: check_device_id(text),
        "vehicle": cells.read_id,
        "power": _word("power"),
        "model": cells.read_text,
        "sim_iccid": cells.read_id,
        "installed_at": cells.read_moment,
        "moving_s": cells.read_positive,
        "parked_s": cells.read_positive,
        "sleep_s": cells.read_positive,
    },
    required=[("device_id",)],
)

CONTACTS = Kind(
    "contacts",
    {
        "party_id": cells.read_id,
        "alias": cells.read_text,
        "kind": _word("contact_kind"),
        "value": lambda text, _: text,
        "label": cells.read_text,
        "third_party": cells.read_truth,
        **{kind.value: lambda text, _: text for kind in ContactKind},
    },
    required=[("party_id",), ("value", *(kind.value for kind in ContactKind))],
)

KINDS = {kind.name: kind for kind in (VEHICLES, LOANS, DEVICES, CONTACTS)}
