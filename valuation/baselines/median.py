"""What such cars went for: the median of the same make, model and year, and that of the nearest sales."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from valuation.baselines.peer import Baseline
from valuation.model.cells import CellIndex

if TYPE_CHECKING:
    import pyarrow as pa

    from valuation.model.rows import Floats
    from valuation.model.valuer import Model

CELL = ("make", "model", "model_year")
NEAREST = 8
MOST_ASKED = 2_000
"""Comparables are looked up one vehicle at a time; a sample in the order of the rows is enough to compare."""


def _cell_median(model: Model, known: pa.Table, asked: pa.Table, days: Any) -> Floats:
    vocabulary = model.vocabulary
    rows, _ = vocabulary.rows(known, known["observed_at"].to_numpy())
    price = np.asarray(known["price_minor"].to_numpy(), dtype=np.float64)
    index = CellIndex.of(CELL, rows, vocabulary.sizes)
    cell = index.find(rows)
    order = np.lexsort((price, cell))
    cells, starts, counts = np.unique(cell[order], return_index=True, return_counts=True)
    low, high = price[order][starts + (counts - 1) // 2], price[order][starts + counts // 2]
    medians = np.full(len(index.keys) + 1, np.nan)
    inside = cells >= 0
    medians[cells[inside]] = (low[inside] + high[inside]) / 2.0
    wanted, _ = vocabulary.rows(asked, days)
    found: Floats = medians[np.where((at := index.find(wanted)) >= 0, at, len(index.keys))]
    return found


def _nearest_median(model: Model, known: pa.Table, asked: pa.Table, days: Any) -> Floats:
    rows, _ = model.vocabulary.rows(asked, days)
    value = np.full(rows.size, np.nan)
    for place in range(min(rows.size, MOST_ASKED)):
        near = model.past.nearest(rows.take(np.array([place])), 0.0, NEAREST)
        if near:
            value[place] = np.median([one.price_minor for one in near])
    return value


CELL_MEDIAN = Baseline("cell_median", _cell_median)
COMPARABLES = Baseline("comparables_median", _nearest_median)
