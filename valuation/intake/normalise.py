"""A foreign table becomes ours: columns renamed, numbers in our units, words in our spelling.

Pure: no clock, no I/O. A cell that cannot be read becomes null and gives its row a fault; the first
fault of a row stands. Mapped columns that the table lacks are null everywhere.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from core.domain.money import exponent
from core.errors import Misconfigured
from valuation.frame import MONEY_COLUMNS, OBSERVATION_SCHEMA
from valuation.intake.dates import read_dates
from valuation.intake.judging import Faults, judge_observation, judge_vehicle
from valuation.intake.numbers import read_numbers
from valuation.intake.texts import is_one_of, read_texts, replaced_words, without_make
from valuation.intake.titles import read_title

if TYPE_CHECKING:
    from valuation.intake.mapping import Mapping

ODOMETER_PLACEHOLDER = 999_999
"""Sources write it, in their own unit, for "unknown"."""
NEVER_ZERO = ("engine_l", "power_hp", "economy_mpg", "cylinders")
"""Zero in these is an empty field of the form."""
PRICE_ONLY = ("price_minor", "currency", "channel", "observed_at")
"""Columns whose faults matter to an observation and not to a vehicle that is to be valued."""


@dataclass(frozen=True, slots=True)
class Normalised:
    """Rows in the order of the input: the table in OBSERVATION_SCHEMA, and a reason or null for each."""

    table: pa.Table
    faults: pa.Array


def normalise(table: pa.Table, mapping: Mapping, *, observations: bool = False) -> Normalised:
    """Return the rows in our columns; with ``observations`` a row also needs a usable price and date.

    Raises:
        Misconfigured: a constant of the mapping cannot be read.
    """
    rows = table.num_rows
    present = _present(table, mapping)
    faults = Faults(rows)
    columns: dict[str, pa.Array] = {}
    for field in OBSERVATION_SCHEMA:
        if field.name not in MONEY_COLUMNS:
            columns[field.name] = _column(field, present.get(field.name), mapping, faults, rows, observations)
    if mapping.title_language is not None:
        _read_titles(columns)
    columns["model"] = without_make(columns["model"], columns["make"])
    places = _places(columns["currency"])
    for name in MONEY_COLUMNS:
        columns[name] = _money(name, present.get(name), mapping, faults, places, observations)
    for reason, ours, words in mapping.exclude:
        source = present.get(ours)
        if source is not None:
            faults.mark(is_one_of(source, words), reason)
    judge_vehicle(columns, faults)
    if observations:
        judge_observation(columns, faults)
    return Normalised(
        pa.Table.from_arrays([columns[name] for name in OBSERVATION_SCHEMA.names], schema=OBSERVATION_SCHEMA),
        faults.reasons(),
    )


def _present(table: pa.Table, mapping: Mapping) -> dict[str, pa.Array]:
    """Return the foreign columns by ours; headers are compared without case and outer spaces."""
    by_plain = {name.strip().lower(): name for name in reversed(table.column_names)}
    found: dict[str, pa.Array] = {}
    for their, targets in mapping.columns.items():
        name = their if their in table.column_names else by_plain.get(their.strip().lower())
        if name is not None:
            column = table.column(name).combine_chunks()
            if isinstance(column, pa.ChunkedArray):  # of several chunks too long for one offset array
                column = pa.concat_arrays(column.chunks)
            for ours in targets:
                found.setdefault(ours, column)
    return found


def _column(
    field: pa.Field, source: pa.Array | None, mapping: Mapping, faults: Faults, rows: int, observations: bool
) -> pa.Array:
    name = field.name
    constant = mapping.constants.get(name)
    if source is None and constant is not None:
        source = pa.array([str(constant)] * rows, pa.string())
    if source is None:
        return pa.nulls(rows, field.type)
    words = mapping.words.get(name, {})
    if pa.types.is_string(field.type):
        return read_texts(source, name, words)
    if words:
        source = replaced_words(source, words)
    matters = observations or name not in PRICE_ONLY
    if pa.types.is_date(field.type):
        days, wrong = read_dates(source, mapping.dates.get(name))
        if matters:
            faults.mark(wrong, "unreadable_date")
        read = days
    else:
        numbers, wrong = read_numbers(source, name, mapping.units.get(name))
        faults.mark(wrong, "unreadable_number")
        if name == "odometer_km":
            raw, _ = read_numbers(source, name, None)
            numbers = np.where(raw == ODOMETER_PLACEHOLDER, np.nan, numbers)
        if name in NEVER_ZERO:
            numbers = np.where(numbers == 0, np.nan, numbers)
        if name == "condition":
            # Part of the sources grade 1-49 and write 4.5 as 45 and 3 as 3.
            numbers = np.where(numbers > 5, numbers / 10, numbers)
        read = _numbers(numbers, field.type)
    return read


def _numbers(numbers: Any, kind: pa.DataType) -> pa.Array:
    if not pa.types.is_integer(kind):
        return pa.array(numbers, kind, from_pandas=True)
    # A number beyond the type is unknown here; judging refuses what is out of range before it matters.
    limit = np.iinfo(kind.to_pandas_dtype()).max
    usable = np.abs(numbers) < limit
    return pa.array(
        np.where(usable, np.round(np.where(usable, numbers, 0)), 0).astype(np.int64), mask=~usable
    ).cast(kind)


def _money(
    name: str, source: pa.Array | None, mapping: Mapping, faults: Faults, places: Any, observations: bool
) -> pa.Array:
    """Return whole minor units; null where there is no amount or no currency to count it in."""
    constant = mapping.constants.get(name)
    if source is None and constant is not None:
        source = pa.array([str(constant)] * len(places), pa.string())
    if source is None:
        return pa.nulls(len(places), pa.int64())
    if mapping.words.get(name):
        source = replaced_words(source, mapping.words[name])
    amounts, wrong = read_numbers(source, name, mapping.units.get(name))
    if observations or name not in PRICE_ONLY:
        faults.mark(wrong, "unreadable_number")
    return _numbers(amounts * np.power(10.0, places), pa.int64())


def _places(currencies: pa.Array) -> Any:
    """Return the decimals of each row's currency (2 where it is unknown, as most have)."""
    cells = pc.dictionary_encode(currencies)
    places = np.array([*(exponent(code) for code in cells.dictionary.to_pylist()), 2])
    return places[np.asarray(pc.fill_null(cells.indices, len(places) - 1))]


def _read_titles(columns: dict[str, pa.Array]) -> None:
    """Fill from the title what no column gives."""
    cells = pc.dictionary_encode(columns["title"])
    titles = [read_title(text) for text in cells.dictionary.to_pylist()]
    where = pc.fill_null(cells.indices, len(titles))
    for name in ("make", "model", "trim", "model_year", "engine_l", "transmission", "drive", "fuel"):
        kind = OBSERVATION_SCHEMA.field(name).type
        said = pa.array([*(getattr(title, name) for title in titles), None], kind).take(where)
        columns[name] = pc.coalesce(columns[name], said)


def require(mapping: Mapping, header: list[str], needed: tuple[str, ...]) -> None:
    """Raise unless each needed column of ours comes from the header or a constant.

    Raises:
        Misconfigured: the mapping is not one for this file.
    """
    plain = {name.strip().lower() for name in header}
    fed = {
        ours
        for their, targets in mapping.columns.items()
        if their.strip().lower() in plain
        for ours in targets
    }
    if mapping.title_language is not None and "title" in fed:
        fed |= {"make", "model", "trim", "model_year"}
    missing = [ours for ours in needed if ours not in fed and ours not in mapping.constants]
    if missing:
        raise Misconfigured(
            f"Mapping {mapping.name}: expected a column or constant for {', '.join(missing)}; "
            f"the file has {', '.join(header)}",
            code="mapping_mismatch",
        )
