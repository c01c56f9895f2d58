"""Which rows cannot be used, and why. Limits are of plausibility: wide, so that no real vehicle is lost."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from core.domain.money import exponent
from valuation.frame import CHANNELS

OLDEST_MODEL_YEAR = 1950
YEARS_AHEAD = 2
"""A model year is sold up to two calendar years before its number."""
NEWEST_MODEL_YEAR = 2100
"""Where no date says what "ahead" means."""
LARGEST_ODOMETER_KM = 2_000_000
LOWEST_PRICE_MAIN_UNITS = 100
"""Below it a price is a placeholder: sources hold sales at 1."""
HIGHEST_PRICE_MAIN_UNITS = 1_000_000_000
_ISO_4217 = """
AED AUD BGN BRL CAD CHF CLP CNY CZK DKK EUR GBP HKD HUF IDR ILS INR JPY KRW KWD KZT MOP MXN MYR NOK NZD
PHP PKR PLN RON RUB SAR SEK SGD THB TRY TWD UAH USD VND ZAR
"""
CURRENCIES = frozenset(_ISO_4217.split())


class Faults:
    """One reason or none per row; the first that was found stands."""

    def __init__(self, rows: int) -> None:
        self._names: list[str] = []
        self._codes = np.full(rows, -1, dtype=np.int32)

    def mark(self, where: Any, reason: str) -> None:
        """Give ``reason`` to the rows that have none yet."""
        fresh = np.asarray(where, dtype=bool) & (self._codes < 0)
        if fresh.any():
            if reason not in self._names:
                self._names.append(reason)
            self._codes[fresh] = self._names.index(reason)

    def reasons(self) -> pa.Array:
        """Return the reasons as texts, null where the row is usable."""
        names = pa.array([*self._names, None], pa.string())
        return names.take(pa.array(np.where(self._codes < 0, len(self._names), self._codes)))


def judge_vehicle(columns: dict[str, pa.Array], faults: Faults) -> None:
    """Mark vehicles that cannot exist; fill a missing model year from the first registration."""
    registered = pc.year(columns["first_registration"]).cast(pa.int32())
    columns["model_year"] = pc.coalesce(columns["model_year"], registered)
    year, seen = _floats(columns["model_year"]), _floats(pc.year(columns["observed_at"]))
    ceiling = np.where(np.isnan(seen), NEWEST_MODEL_YEAR, seen + YEARS_AHEAD)
    odometer = _floats(columns["odometer_km"])
    condition = _floats(columns["condition"])
    faults.mark(pc.is_null(columns["make"]), "make_missing")
    faults.mark(np.isnan(year), "year_missing")
    faults.mark((year < OLDEST_MODEL_YEAR) | (year > ceiling), "year_out_of_range")
    faults.mark(odometer < 0, "odometer_negative")
    faults.mark(odometer > LARGEST_ODOMETER_KM, "odometer_out_of_range")
    faults.mark((condition < 1) | (condition > 5), "condition_out_of_range")
    # Zero on a car that is not new is an empty field of the form, not a reading.
    columns["odometer_km"] = pc.if_else(
        pa.array((odometer == 0) & (seen - year > 1)), pa.scalar(None, pa.float64()), columns["odometer_km"]
    )


def judge_observation(columns: dict[str, pa.Array], faults: Faults) -> None:
    """Mark rows that tell no price of a known currency, channel and day."""
    currency, price = columns["currency"], columns["price_minor"]
    faults.mark(
        pc.fill_null(pc.invert(pc.is_in(currency, pa.array(sorted(CURRENCIES)))), True), "unknown_currency"
    )
    faults.mark(
        pc.fill_null(pc.invert(pc.is_in(columns["channel"], pa.array(CHANNELS))), True), "unknown_channel"
    )
    faults.mark(pc.is_null(columns["observed_at"]), "date_missing")
    faults.mark(pc.is_null(price), "price_missing")
    cells = pc.dictionary_encode(currency)
    units = np.array([*(10 ** exponent(code) for code in cells.dictionary.to_pylist()), 100])
    unit = units[np.asarray(pc.fill_null(cells.indices, len(units) - 1))]
    amount = np.asarray(pc.fill_null(price, 0))
    faults.mark(
        (amount < LOWEST_PRICE_MAIN_UNITS * unit) | (amount > HIGHEST_PRICE_MAIN_UNITS * unit),
        "price_out_of_range",
    )


def _floats(column: pa.Array) -> Any:
    return column.cast(pa.float64()).to_numpy(zero_copy_only=False)
