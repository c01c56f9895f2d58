"""Dates out of foreign cells: date and timestamp columns, ISO texts, declared formats, bare years."""

from __future__ import annotations

import re
from datetime import date, datetime
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from valuation.intake.numbers import UNKNOWN

_LEADING_DATE = re.compile(
    r"(?P<y>\d{4})(?:[-/.](?P<m>\d{1,2})[-/.](?P<d>\d{1,2})|年(?P<cm>\d{1,2})月(?:(?P<cd>\d{1,2})日?)?)(?!\d)"
)
_YEAR = re.compile(r"(?P<y>\d{4})(?:\.0+)?\s*年?款?")


def read_dates(column: pa.Array, form: str | None) -> tuple[pa.Array, Any]:
    """Return the column as date32, and a mask of the cells that are no date.

    ``form`` is a strptime format, ``iso``, or ``year``: only the year is known, 1 July stands for it.
    """
    if pa.types.is_null(column.type):
        return pa.nulls(len(column), pa.date32()), np.zeros(len(column), dtype=bool)
    if pa.types.is_timestamp(column.type) or pa.types.is_date(column.type):
        return column.cast(pa.date32(), safe=False), np.zeros(len(column), dtype=bool)
    # Dates have a small vocabulary, so each distinct cell is read once.
    cells = pc.dictionary_encode(pc.cast(column, pa.string()))
    read = [_read(text, form) for text in cells.dictionary.to_pylist()]
    days = pa.array([*(day or None for day in read), None], pa.date32())
    wrong = np.array([*(day is None for day in read), False])
    where = np.asarray(pc.fill_null(cells.indices, len(read)))
    return days.take(pa.array(where)), wrong[where]


def _read(text: str, form: str | None) -> date | bool | None:
    """Return the day, False for an empty cell, None for what is no date."""
    plain = text.strip()
    if plain.lower() in UNKNOWN:
        return False
    try:
        if form == "year":
            match = _YEAR.fullmatch(plain)
            return date(int(match["y"]), 7, 1) if match else None
        if form not in {None, "iso"}:
            return datetime.strptime(plain, str(form)).date()  # noqa: DTZ007 - a day, wherever it was
        match = _LEADING_DATE.match(plain)
        if match is None:
            return None
        month, day = match["m"] or match["cm"], match["d"] or match["cd"] or "1"
        return date(int(match["y"]), int(month), int(day))
    except ValueError:
        return None
