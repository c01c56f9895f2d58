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

_SALE = ("currency", "channel", "make", "model_year", "region", "guide_price_minor", "price_minor")
"""Everything a bare row of a sale says that a full one says too; models and trims are cut differently."""
DAY_SHIFTS = (0, -1, 1)
"""Sources cut an evening's sale into days of different time zones: on the staged files by none or one."""


def without_twins(table: pa.Table) -> pa.Table:
    """Return the rows without those, bare of VIN and odometer, that a fuller row tells: one for one."""
    if table.num_rows == 0:
        return table
    columns = {name: table.column(name).combine_chunks() for name in (*_SALE, "vin", "odometer_km")}
    bare = _is_null(columns["vin"]) & _is_null(columns["odometer_km"])
    # A guide price and a place make a day's sale recognisable; without them equal rows are chance.
    telling = ~_is_null(columns["guide_price_minor"]) & ~_is_null(columns["region"])
    of_bare, of_full = np.flatnonzero(bare & telling), np.flatnonzero(~bare & telling)
    if not len(of_bare) or not len(of_full):
        return table
    sales = mixed(seeded("sale", table.num_rows), [columns[name] for name in _SALE])
    day = table.column("observed_at").combine_chunks().cast(pa.int32())
    twin = np.zeros(table.num_rows, dtype=bool)
    for shift in DAY_SHIFTS:
        full = mixed(sales[of_full], [day.take(pa.array(of_full))])
        same = mixed(sales[of_bare], [pc.subtract(day.take(pa.array(of_bare)), shift)])
        told_bare, told_full = _paired(same, full)
        twin[of_bare[told_bare]] = True
        of_bare, of_full = of_bare[~told_bare], of_full[~told_full]
    return table.filter(pa.array(~twin))


def _paired(
    one: NDArray[np.uint64], other: NDArray[np.uint64]
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Return which of each have a partner of equal value, each partner serving one."""
    return _rank_within(one) < _times(one, other), _rank_within(other) < _times(other, one)


def _times(values: NDArray[np.uint64], among: NDArray[np.uint64]) -> NDArray[np.int64]:
    """Return how often each value occurs in ``among``."""
    ordered = np.sort(among)
    times: NDArray[np.int64] = np.searchsorted(ordered, values, "right") - np.searchsorted(
        ordered, values, "left"
    )
    return times


def _rank_within(values: NDArray[np.uint64]) -> NDArray[np.int64]:
    """Return for each value how many equal ones stand before it."""
    ranks = np.zeros(len(values), dtype=np.int64)
    if not len(values):
        return ranks
    order = np.argsort(values, kind="stable")
    ordered = values[order]
    starts = np.flatnonzero(np.concatenate([[True], ordered[1:] != ordered[:-1]]))
    sizes = np.diff(np.append(starts, len(values)))
    ranks[order] = np.arange(len(values)) - np.repeat(starts, sizes)
    return ranks


def _is_null(column: pa.Array) -> NDArray[np.bool_]:
    missing: NDArray[np.bool_] = np.asarray(pc.is_null(column))
    return missing
