"""Who is in the fleet: invented vehicles, devices, loans and borrowers."""

from __future__ import annotations

import random

from simulator.city.build import REGION_ID, City
from simulator.city.names import COLOURS, MODELS, SURNAMES
from simulator.domain import FleetDevice, FleetVehicle

PLEDGE_SHARE = 0.04
WIRELESS_SHARE = 0.3
TYPE_ALLOCATION = "8681203"  # first digits of every device number; invented
SERIALS = 10_000_000
PLATE_CITY = "泽A"  # no province has this character
VIN_LETTERS = "ABCDEFGHJKLMNPRSTUVWXYZ"
VIN_VALUES = dict(zip("0123456789ABCDEFGHJKLMNPRSTUVWXYZ", [
    0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 1, 2, 3, 4, 5, 6, 7, 8, 1, 2, 3, 4, 5, 7, 9, 2, 3, 4, 5, 6, 7, 8, 9,
], strict=True))  # fmt: skip
VIN_WEIGHTS = (8, 7, 6, 5, 4, 3, 2, 10, 0, 9, 8, 7, 6, 5, 4, 3, 2)


def make_fleet(city: City, seed: int, count: int) -> tuple[FleetVehicle, ...]:
    """Return ``count`` vehicles; at least one of three or more is held by the lender (质押)."""
    yards = tuple(f"fence-{place.place_id}" for place in city.of("yard"))
    return tuple(_vehicle(seed, index, yards) for index in range(count))


def is_pledge(index: int) -> bool:
    """Tell whether the vehicle at this place in the roster stands in the lender's yard."""
    return index % round(1 / PLEDGE_SHARE) == 2


def _vehicle(seed: int, index: int, yards: tuple[str, ...]) -> FleetVehicle:
    rng = random.Random(f"vehicle:{seed}:{index}")
    make, model, price = rng.choice(MODELS)
    pledge = is_pledge(index)
    vin = _vin(rng, seed, index)
    year = rng.randint(2017, 2025)
    share_lent = rng.uniform(0.45, 0.8)
    principal = int(price * share_lent) // 1000 * 1000
    balance = int(principal * rng.uniform(0.2, 0.98))
    return FleetVehicle(
        vehicle_id=vin,
        vin=vin,
        plate=f"{PLATE_CITY}{rng.choice('BCDEFGH')}{(seed * 37 + index) % 10_000:04d}",
        engine_no=f"{rng.choice('ABCDEGH')}{rng.randint(10, 99)}{seed % 100:02d}{index:05d}",
        make=make,
        model=model,
        model_year=year,
        first_registration=f"{year}-{rng.randint(1, 12):02d}-{rng.randint(1, 28):02d}",
        colour=rng.choice(COLOURS),
        collateral_form="pledge" if pledge else "mortgage",
        region_fence_ids=(REGION_ID,),
        yard_fence_ids=yards if pledge else (),
        devices=_devices(rng, seed, index, wireless=not pledge and rng.random() < WIRELESS_SHARE),
        principal_minor=principal * 100,
        balance_minor=balance * 100,
        days_past_due=rng.choice((0, 0, 0, 0, 0, 0, 3, 12, 35)),
        borrower=f"{rng.choice(SURNAMES)}某{index + 1}",
    )


def _devices(rng: random.Random, seed: int, index: int, *, wireless: bool) -> tuple[FleetDevice, ...]:
    wired = FleetDevice(_device_id(seed, 2 * index))
    if not wireless:
        return (wired,)
    day = 86_400
    return wired, FleetDevice(_device_id(seed, 2 * index + 1), "wireless", day, day, day)


def _device_id(seed: int, number: int) -> str:
    digits = f"{TYPE_ALLOCATION}{(seed * 1_000_003 + number) % SERIALS:07d}"
    return digits + _luhn(digits)


def _luhn(digits: str) -> str:
    total = 0
    for place, digit in enumerate(reversed(digits)):
        value = int(digit) * (2 if place % 2 == 0 else 1)
        total += value - 9 if value > 9 else value
    return str(-total % 10)


def _vin(rng: random.Random, seed: int, index: int) -> str:
    maker = "L" + "".join(rng.choice(VIN_LETTERS) for _ in range(2))
    kind = "".join(rng.choice(VIN_LETTERS) for _ in range(5))
    tail = f"{rng.choice('JKLMNPRS')}{rng.choice(VIN_LETTERS)}{seed % 10}{index % 100_000:05d}"
    vin = f"{maker}{kind}0{tail}"
    check = sum(VIN_VALUES[char] * weight for char, weight in zip(vin, VIN_WEIGHTS, strict=True)) % 11
    return f"{maker}{kind}{'X' if check == 10 else check}{tail}"
