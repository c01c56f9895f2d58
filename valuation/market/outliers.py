"""Prices that cannot be of the vehicle beside them: a factor of three and more away from what is known.

Rule of reference/valuation.md 6.2: |log residual| > max(1.2, 4 MAD of the cell), a cell being make, model
and model year of one market. The residual is from the guide price where the row has one, else from the
cell's median. A row without a guide in a thin cell is nobody's outlier: measured on the staged data, a
wider cell (make and year) refused real sales of rare models.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from valuation.market.fingerprints import mixed, seeded

if TYPE_CHECKING:
    from numpy.typing import NDArray

SMALLEST_RESIDUAL = 1.2
MADS = 4
FEWEST_IN_CELL = 8
CELL = ("currency", "channel", "make", "model", "model_year")


def find_outliers(table: pa.Table) -> NDArray[np.bool_]:
    """Return which usable rows of OBSERVATION_SCHEMA lie outside their cell."""
    if table.num_rows == 0:
        return np.zeros(0, dtype=bool)
    cells = mixed(seeded("cell", table.num_rows), [table.column(name).combine_chunks() for name in CELL])
    _, cell, size = np.unique(cells, return_inverse=True, return_counts=True)
    log_price = np.log(table.column("price_minor").to_numpy().astype(np.float64))
    guide = table.column("guide_price_minor").cast(pa.float64()).to_numpy()
    guided = guide > 0  # false for NaN too
    from_guide = log_price - np.log(np.where(guided, guide, 1))
    from_cell = log_price - _medians(cell, size, log_price)[cell]
    residual = np.where(guided, from_guide, from_cell)
    thin = size[cell] < FEWEST_IN_CELL
    mad = np.where(thin, 0, _medians(cell, size, np.abs(residual))[cell])
    far: NDArray[np.bool_] = np.abs(residual) > np.maximum(SMALLEST_RESIDUAL, MADS * mad)
    judged: NDArray[np.bool_] = far & (guided | ~thin)
    return judged


def _medians(
    cell: NDArray[np.int64], size: NDArray[np.int64], values: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return the median of each cell: sort once, take the middle one or the mean of the middle two."""
    ordered = values[np.lexsort((values, cell))]
    start = np.cumsum(size) - size
    medians: NDArray[np.float64] = (ordered[start + (size - 1) // 2] + ordered[start + size // 2]) / 2
    return medians
