"""Sales drawn from a price rule: new price x age x kilometres x condition x region x season x noise."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from simulator.city.names import COLOURS, MODELS

DAYS_A_YEAR = 365.25
FIRST_YEAR_LOSS = 0.17
LATER_LOSS = 0.115
"""Share of its value that a vehicle loses in its first year, and in each later one."""
KM_A_YEAR = 15_000.0
LOSS_PER_10_000_KM = 0.022
GAIN_PER_GRADE = 0.055
NOISE_SD = 0.055
DRIFT_A_YEAR = -0.03
REGIONS = ("泽州", "临江", "南屏", "北原", "东浦", "西岭")
REGION_LEVELS = (1.0, 1.03, 0.97, 0.95, 1.05, 0.98)
BODIES = ("轿车", "SUV", "MPV")
FUELS = ("汽油", "混动", "纯电")
FUEL_LOSS = (0.0, 0.004, 0.025)
MAKER_SOUNDS = ("云驰", "朗岳", "星澜", "启程", "恒远", "飞岩", "海擎", "瑞川", "原野", "锦程")


@dataclass(frozen=True, slots=True)
class Kind:
    """A model as it leaves the factory; ``new_price`` in major units."""

    make: str
    model: str
    new_price: int
    body: str
    fuel: str


def city_kinds() -> list[Kind]:
    """Return the models that the simulated city's fleet consists of."""
    return [
        Kind(make, model, price, BODIES[number % len(BODIES)], FUELS[0])
        for number, (make, model, price) in enumerate(MODELS)
    ]


def many_kinds(seed: int, makes: int, models: int) -> list[Kind]:
    """Return ``makes`` x ``models`` further kinds, from cheap to dear."""
    rng = np.random.default_rng(seed)
    return [
        Kind(
            f"{MAKER_SOUNDS[make % len(MAKER_SOUNDS)]}{make // len(MAKER_SOUNDS) or ''}",
            f"{chr(ord('A') + model % 26)}{make % 9 + 1}{model}",
            int(rng.integers(60, 520)) * 1_000,
            BODIES[int(rng.integers(len(BODIES)))],
            FUELS[int(rng.integers(len(FUELS)))],
        )
        for make in range(makes)
        for model in range(models)
    ]


def draw_sales(
    seed: int, count: int, *, until: date, days: int, kinds: list[Kind], channel: str = "auction"
) -> pa.Table:
    """Return ``count`` sales of the ``days`` before ``until``; popular kinds sell more often."""
    rng = np.random.default_rng(seed)
    weights = 1.0 / (1.0 + np.arange(len(kinds)))
    kind = rng.choice(len(kinds), size=count, p=weights / weights.sum())
    sold = np.datetime64(until) - rng.integers(0, days, count).astype("timedelta64[D]")
    age_years = rng.gamma(3.0, 1.4, count).clip(0.3, 12.0)
    registered = sold - (age_years * DAYS_A_YEAR).astype("timedelta64[D]")
    odometer = (age_years * KM_A_YEAR * rng.lognormal(0.0, 0.35, count)).round(-2)
    condition = np.clip(rng.normal(3.4, 0.8, count), 1.0, 5.0).round(1)
    region = rng.integers(0, len(REGIONS), count)
    price = expected_price(kinds, kind, age_years, odometer, condition, region)
    years_ago = (np.datetime64(until) - sold).astype(np.int64) / DAYS_A_YEAR
    price *= np.exp(-DRIFT_A_YEAR * years_ago + rng.normal(0.0, NOISE_SD, count))
    years = registered.astype("datetime64[Y]").astype(np.int64) + 1970
    numbers = np.arange(count)
    return pa.table(
        {
            "vin": pa.array([f"ZZS{seed % 10_000:04d}{number:010d}" for number in numbers]),
            "make": _named([one.make for one in kinds], kind),
            "model": _named([one.model for one in kinds], kind),
            "body": _named([one.body for one in kinds], kind),
            "fuel": _named([one.fuel for one in kinds], kind),
            "transmission": _named(["自动"], np.zeros(count, dtype=np.int64)),
            "model_year": pa.array(years.astype(np.int32)),
            "first_registration": pa.array(registered),
            "odometer_km": pa.array(odometer),
            "condition": pa.array(condition),
            "colour": _named(list(COLOURS), rng.integers(0, len(COLOURS), count)),
            "region": _named(list(REGIONS), region),
            "new_price": pa.array(np.array([one.new_price for one in kinds])[kind]),
            "price": pa.array(price.round(-2).clip(1_000).astype(np.int64)),
            "currency": _named(["CNY"], np.zeros(count, dtype=np.int64)),
            "channel": _named([channel], np.zeros(count, dtype=np.int64)),
            "observed_at": pa.array(sold),
            "source": _named(["simulated"], np.zeros(count, dtype=np.int64)),
        }
    )


def expected_price(
    kinds: list[Kind],
    kind: npt.NDArray[np.int64],
    age_years: npt.NDArray[np.float64],
    odometer_km: npt.NDArray[np.float64],
    condition: npt.NDArray[np.float64],
    region: npt.NDArray[np.int64],
) -> npt.NDArray[np.float64]:
    """Return the price before noise and drift, in major units; arrays of shape (n,)."""
    new = np.array([one.new_price for one in kinds], dtype=np.float64)[kind]
    fuel_loss = np.array([FUEL_LOSS[FUELS.index(one.fuel)] for one in kinds])[kind]
    first = np.minimum(age_years, 1.0)
    later = np.maximum(age_years - 1.0, 0.0)
    log_price = (
        np.log(new)
        + first * np.log(1.0 - FIRST_YEAR_LOSS - fuel_loss)
        + later * np.log(1.0 - LATER_LOSS - fuel_loss)
        - LOSS_PER_10_000_KM * (odometer_km - age_years * KM_A_YEAR) / 10_000.0
        + GAIN_PER_GRADE * (condition - 3.4)
        + np.log(np.array(REGION_LEVELS))[region]
    )
    price: npt.NDArray[np.float64] = np.exp(log_price)
    return price


def _named(names: list[str], numbers: npt.NDArray[np.int64]) -> pa.Array:
    return pa.array(np.array(names, dtype=object)[numbers], type=pa.string())
