"""One sale told by two sources, once with VIN and odometer and once without.

Both are stored (the store only grows, and which came first is chance); whoever reads a market gets the
fuller one alone, or the model would count the sale twice and learn a level from its own test rows.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from valuation.market.fingerprints import mixed, seeded

if TYPE_CHECKING:
    from numpy.typing import NDArray

_SALE = (
    "currency",
    "channel",
    "make",
    "model_year",
    "region",
    "guide_price_minor",
    "price_minor",
    "observed_at",
)
"""Everything a plain row of sale says that a full one says too; models and trims are cut differently."""


def without_twins(table: pa.Table) -> pa.Table:
    """Return the rows without those, bare of VIN and odometer, that a fuller row tells: one for one."""
    if table.num_rows == 0:
        return table
    columns = {name: table.column(name).combine_chunks() for name in (*_SALE, "vin", "odometer_km")}
    bare = _is_null(columns["vin"]) & _is_null(columns["odometer_km"])
    # A guide price and a place make a day's sale recognisable; without them equal rows are chance.
    telling = ~_is_null(columns["guide_price_minor"]) & ~_is_null(columns["region"])
    if not (bare & telling).any() or not (~bare & telling).any():
        return table
    sales = mixed(seeded("sale", table.num_rows), [columns[name] for name in _SALE])
    full, times = np.unique(sales[~bare & telling], return_counts=True)
    at = np.flatnonzero(bare & telling)
    place = np.minimum(np.searchsorted(full, sales[at]), len(full) - 1)
    allowed = np.where(full[place] == sales[at], times[place], 0)
    twin = np.zeros(table.num_rows, dtype=bool)
    twin[at] = _rank_within(sales[at]) < allowed
    return table.filter(pa.array(~twin))


def _rank_within(values: NDArray[np.uint64]) -> NDArray[np.int64]:
    """Return for each value how many equal ones stand before it."""
    order = np.argsort(values, kind="stable")
    ordered = values[order]
    starts = np.flatnonzero(np.concatenate([[True], ordered[1:] != ordered[:-1]]))
    sizes = np.diff(np.append(starts, len(values)))
    ranks = np.empty(len(values), dtype=np.int64)
    ranks[order] = np.arange(len(values)) - np.repeat(starts, sizes)
    return ranks


def _is_null(column: pa.Array) -> NDArray[np.bool_]:
    missing: NDArray[np.bool_] = np.asarray(pc.is_null(column))
    return missing
