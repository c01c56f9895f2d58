"""Vehicles as columns of numbers: what the model reads of a table, and why a row cannot be valued."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

Floats = np.ndarray[Any, np.dtype[np.float64]]
Ints = np.ndarray[Any, np.dtype[np.int64]]
Bools = np.ndarray[Any, np.dtype[np.bool_]]
Texts = np.ndarray[Any, np.dtype[np.object_]]

TEXT_COLUMNS = ("make", "model", "trim", "body", "transmission", "fuel", "colour", "region", "drive", "usage")
PLAIN_NUMBERS = (
    "odometer_km",
    "condition",
    "engine_l",
    "power_hp",
    "economy_mpg",
    "road_tax_minor",
    "cylinders",
    "defects",
)
LOGGED_NUMBERS = {"log_new": "new_price_minor", "log_guide": "guide_price_minor"}

KM_PER_YEAR = 19_312.1
"""12,000 miles, the typical first year; later years count age to the power 0.9 (valuation.md 6)."""
AGE_POWER = 0.9
OLDEST_AGE_Y = 80.0
MOST_KM = 2_000_000.0
MOST_KM_PER_YEAR = 400_000.0
"""Beyond it the figure is a typing error or another unit, not a driver."""

NO_MAKE = "make_missing"
NO_YEAR = "year_missing"
BAD_YEAR = "year_out_of_range"
BAD_ODOMETER = "odometer_out_of_range"
NO_DATE = "as_of_missing"

_NUMBER = re.compile(r"\d+(?:[.,]\d+)?")
TRIM_NUMBERS = ("trim_number_0", "trim_number_1")
VARIANT = "variant"
"""Displacement and power together: what tells the versions of a model apart where no trim is named."""
VARIANTS = 4_000_000
_NO_TEXT, _EMPTY = pa.scalar(None, pa.string()), pa.scalar("", pa.string())
"""Made once: Arrow looks for pandas whenever it makes one."""


@dataclass(frozen=True, slots=True)
class Rows:
    """Codes index the vocabulary; -1 is missing, -2 is present but never seen in training."""

    codes: Mapping[str, Ints]
    numbers: Mapping[str, Floats]
    """PLAIN_NUMBERS, the logs of prices, and the figures inside the trim's name; NaN is not known."""
    model_year: Ints
    age_y: Floats
    day: Ints
    """Days since 1970 of the price or of the wish."""

    @property
    def size(self) -> int:
        return len(self.age_y)

    def take(self, index: Ints | Bools) -> Rows:
        """Return the rows of an index or mask."""
        return Rows(
            {name: codes[index] for name, codes in self.codes.items()},
            {name: values[index] for name, values in self.numbers.items()},
            self.model_year[index],
            self.age_y[index],
            self.day[index],
        )

    @staticmethod
    def concat(parts: Sequence[Rows]) -> Rows:
        """Return the rows of all parts, one after the other."""
        first = parts[0]
        return Rows(
            {name: np.concatenate([part.codes[name] for part in parts]) for name in first.codes},
            {name: np.concatenate([part.numbers[name] for part in parts]) for name in first.numbers},
            np.concatenate([part.model_year for part in parts]),
            np.concatenate([part.age_y for part in parts]),
            np.concatenate([part.day for part in parts]),
        )

    def without(self, *names: str) -> Rows:
        """Return the rows as if these facts had never been known."""
        return replace(
            self,
            codes={
                name: np.full(self.size, -1, np.int64) if name in names else codes
                for name, codes in self.codes.items()
            },
            numbers={
                name: np.full(self.size, np.nan) if name in names else values
                for name, values in self.numbers.items()
            },
        )


def typical_km(age_y: Floats) -> Floats:
    """Return the distance a vehicle of that age has usually run; never below half a year's."""
    typical: Floats = KM_PER_YEAR * np.maximum(age_y, 0.5) ** AGE_POWER
    return typical


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """The words seen in training, sorted, per text column."""

    words: Mapping[str, pa.Array]

    @property
    def sizes(self) -> dict[str, int]:
        """Return how many codes each text column has."""
        return {**{name: len(words) for name, words in self.words.items()}, VARIANT: VARIANTS}

    @staticmethod
    def of(table: pa.Table) -> Vocabulary:
        """Collect the words of a table."""
        words = {}
        for name in TEXT_COLUMNS:
            seen = pc.drop_null(pc.unique(plain_text(table, name)))
            words[name] = seen.take(pc.sort_indices(seen))
        return Vocabulary(words)

    def rows(self, table: pa.Table, as_of: Any) -> tuple[Rows, Texts]:
        """Return the table's rows as numbers, and for each a reason why it has no value, or None."""
        size = table.num_rows
        codes = {name: self._codes(table, name) for name in TEXT_COLUMNS}
        day = np.asarray(as_of, dtype="datetime64[D]").astype(np.int64)
        no_day = np.isnat(np.asarray(as_of, dtype="datetime64[D]"))
        day = np.where(no_day, 0, day)
        registered = _dates(table, "first_registration")
        registered_year = np.where(
            np.isnat(registered), 0, registered.astype("datetime64[Y]").astype(np.int64) + 1970
        )
        year = _numbers(table, "model_year")
        year = np.where(np.isnan(year), np.where(registered_year > 0, registered_year, np.nan), year)
        start = np.where(np.isnat(registered), _new_year_days(year), registered.astype(np.int64))
        age = np.clip((day - start) / 365.25, 0.0, None)
        odometer = _numbers(table, "odometer_km")
        reason: Texts = np.full(size, None, dtype=object)
        bad_distance = (odometer < 0) | (odometer > MOST_KM) | (odometer > MOST_KM_PER_YEAR * (age + 1.0))
        ahead = np.nan_to_num(year) > _year_of(day) + 2
        for failed, why in (
            (bad_distance, BAD_ODOMETER),
            (ahead | (age > OLDEST_AGE_Y), BAD_YEAR),
            (np.isnan(year), NO_YEAR),
            (codes["make"] == -1, NO_MAKE),
            (no_day, NO_DATE),
        ):
            reason[failed] = why
        numbers = {
            **{name: _numbers(table, name) for name in PLAIN_NUMBERS},
            **{name: _logs(table, column) for name, column in LOGGED_NUMBERS.items()},
            **dict(zip(TRIM_NUMBERS, _numbers_in_trim(table).T, strict=True)),
        }
        codes[VARIANT] = _variant(numbers["engine_l"], numbers["power_hp"])
        return Rows(codes, numbers, np.nan_to_num(year).astype(np.int64), np.nan_to_num(age), day), reason

    def _codes(self, table: pa.Table, name: str) -> Ints:
        text = plain_text(table, name)
        found = pc.fill_null(pc.index_in(text, value_set=self.words[name]), -2)
        codes: Ints = np.array(found.to_numpy(zero_copy_only=False), dtype=np.int64)
        codes[np.asarray(text.is_null())] = -1
        return codes


def plain_text(table: pa.Table, name: str) -> pa.Array:
    """Return a text column in lower case without outer blanks; empty is null; absent is all null."""
    if name not in table.column_names:
        return pa.nulls(table.num_rows, pa.string())
    column = table[name].combine_chunks() if table.num_rows else pa.nulls(0, pa.string())
    text = pc.utf8_lower(pc.utf8_trim_whitespace(column.cast(pa.string())))
    return pc.if_else(pc.equal(text, _EMPTY), _NO_TEXT, text)


def _numbers(table: pa.Table, name: str) -> Floats:
    if name not in table.column_names:
        return np.full(table.num_rows, np.nan)
    column = pc.fill_null(table[name].cast(pa.float64()), np.nan)
    return np.array(column.to_numpy(), dtype=np.float64)


def _logs(table: pa.Table, name: str) -> Floats:
    values = _numbers(table, name)
    with np.errstate(divide="ignore", invalid="ignore"):
        logs: Floats = np.where(values > 0, np.log(values), np.nan)
    return logs


def _dates(table: pa.Table, name: str) -> Any:
    if name not in table.column_names:
        return np.full(table.num_rows, np.datetime64("NaT"), dtype="datetime64[D]")
    return np.asarray(table[name].cast(pa.date32()).to_numpy(), dtype="datetime64[D]")


def _new_year_days(year: Floats) -> Floats:
    """Return the days since 1970 of 1 January; NaN stays NaN."""
    whole = np.nan_to_num(year, nan=1970).astype(np.int64)
    days = (whole - 1970).astype("datetime64[Y]").astype("datetime64[D]").astype(np.float64)
    return np.where(np.isnan(year), np.nan, days)


def _year_of(day: Ints) -> Ints:
    years: Ints = day.astype("datetime64[D]").astype("datetime64[Y]").astype(np.int64) + 1970
    return years


def _numbers_in_trim(table: pa.Table) -> Floats:
    """Read the first figures of each distinct trim once: `1.8t 177 hp` gives 1.8 and 177."""
    encoded = pc.dictionary_encode(plain_text(table, "trim"))
    words = encoded.dictionary.to_pylist()
    figures = np.full((len(words) + 1, len(TRIM_NUMBERS)), np.nan)
    for place, word in enumerate(words):
        for rank, match in enumerate(_NUMBER.findall(word or "")[: len(TRIM_NUMBERS)]):
            figures[place, rank] = float(match.replace(",", "."))
    index = pc.fill_null(encoded.indices, len(words)).to_numpy(zero_copy_only=False)
    read: Floats = figures[index]
    return read


def _variant(engine_l: Floats, power_hp: Floats) -> Ints:
    litres = np.clip(np.nan_to_num(np.round(engine_l * 10.0)), 0, 999)
    horses = np.clip(np.nan_to_num(np.round(power_hp)), 0, 3_999)
    nothing = (litres == 0) & (horses == 0)
    variant: Ints = np.where(nothing, -1, litres * 4_000 + horses).astype(np.int64)
    return variant
