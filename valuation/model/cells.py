"""Shrunken means over cells such as (make, model, model year): sums, never rows, are kept."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from valuation.model.rows import Floats, Ints, Rows

if TYPE_CHECKING:
    from collections.abc import Sequence

_YEARS = 4096
_NOWHERE = -1


@dataclass(frozen=True, slots=True)
class CellIndex:
    """The distinct combinations of some columns, sorted; a row's cell is found by bisection."""

    columns: tuple[str, ...]
    widths: tuple[int, ...]
    keys: Ints

    @staticmethod
    def of(columns: Sequence[str], rows: Rows, words: dict[str, int]) -> CellIndex:
        """Collect the combinations that occur; ``words`` is the size of each vocabulary."""
        widths = tuple(_YEARS if name == "model_year" else words[name] + 1 for name in columns)
        index = CellIndex(tuple(columns), widths, np.zeros(0, np.int64))
        keys = np.unique(index._keys(rows))
        return CellIndex(tuple(columns), widths, keys[keys != _NOWHERE])

    def find(self, rows: Rows) -> Ints:
        """Return each row's cell, -1 where a column is missing or the combination was never seen."""
        if not len(self.keys):
            return np.full(rows.size, _NOWHERE, np.int64)
        wanted = self._keys(rows)
        place = np.minimum(np.searchsorted(self.keys, wanted), len(self.keys) - 1)
        found: Ints = np.where(self.keys[place] == wanted, place, _NOWHERE)
        return found

    def _keys(self, rows: Rows) -> Ints:
        key = np.zeros(rows.size, np.int64)
        missing = np.zeros(rows.size, np.bool_)
        for name, width in zip(self.columns, self.widths, strict=True):
            code = rows.model_year if name == "model_year" else rows.codes[name]
            missing |= (code <= 0) if name == "model_year" else (code < 0)
            key = key * width + code
        return np.where(missing, _NOWHERE, key)


@dataclass(frozen=True, slots=True)
class CellMeans:
    """Per cell the shrunken deviation from the parent and the weight it rests on."""

    deviation: Floats
    weight: Floats

    @staticmethod
    def fit(cell: Ints, cells: int, value: Floats, weight: Floats, k: float) -> CellMeans:
        """Shrink each cell's weighted mean of ``value`` towards 0 by ``k`` rows' worth."""
        inside = cell >= 0
        place, given = cell[inside], weight[inside]
        mass: Floats = np.bincount(place, given, cells).astype(np.float64)
        total = np.bincount(place, given * value[inside], cells)
        return CellMeans(total / (mass + k), mass)

    def of(self, cell: Ints) -> tuple[Floats, Floats]:
        """Return deviation and weight per row; both 0 outside."""
        if not len(self.deviation):
            return np.zeros(len(cell)), np.zeros(len(cell))
        inside = cell >= 0
        place = np.where(inside, cell, 0)
        return np.where(inside, self.deviation[place], 0.0), np.where(inside, self.weight[place], 0.0)
