"""A vehicle with everything around it, as one value: what a generated or migrated fleet consists of."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime


@dataclass(frozen=True, slots=True)
class FleetDevice:
    """A device in a fleet vehicle; without a password it gets a random one."""

    device_id: str
    power: str = "wired"
    model: str | None = None
    moving_s: int | None = None
    parked_s: int | None = None
    sleep_s: int | None = None
    password: str | None = None
    installed_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class FleetContact:
    """A way to reach a fleet party; needs a cipher at provisioning."""

    kind: str
    value: str
    label: str = ""
    third_party: bool = False


@dataclass(frozen=True, slots=True)
class FleetParty:
    """The pledgor or borrower of a fleet vehicle."""

    party_id: str
    alias: str
    kind: str = "person"
    contacts: tuple[FleetContact, ...] = ()


@dataclass(frozen=True, slots=True)
class FleetLoan:
    """The loan that a fleet vehicle secures."""

    loan_id: str
    principal_minor: int
    balance_minor: int
    snapshot_at: datetime
    currency: str = "CNY"
    collateral_form: str = "mortgage"
    days_past_due: int = 0
    next_due_on: date | None = None
    status: str = "active"
    borrower: FleetParty | None = None


@dataclass(frozen=True, slots=True)
class FleetVehicle:
    """A vehicle with its devices, pledgor and loan. ``None`` keeps what is stored."""

    vehicle_id: str
    devices: tuple[FleetDevice, ...] = ()
    vin: str | None = None
    plate: str | None = None
    engine_number: str | None = None
    make: str | None = None
    model: str | None = None
    model_year: int | None = None
    colour: str | None = None
    first_registration: date | None = None
    use_character: str | None = None
    emission_stage: str | None = None
    custody: str | None = None
    org_id: str | None = None
    pledgor: FleetParty | None = None
    loan: FleetLoan | None = None
