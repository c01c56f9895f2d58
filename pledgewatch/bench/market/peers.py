"""What people do first: the median of the same make, model and year."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from statistics import median
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pyarrow as pa

Cell = tuple[str, str, int]


class CellMedians:
    """Median price of each cell; the model's, then the market's median where a cell is empty."""

    def __init__(self, sales: pa.Table) -> None:
        prices: dict[Cell, list[int]] = defaultdict(list)
        by_model: dict[tuple[str, str], list[int]] = defaultdict(list)
        for cell, price in zip(_cells(sales), sales["price"].to_pylist(), strict=True):
            prices[cell].append(price)
            by_model[cell[:2]].append(price)
        self._cells = {cell: median(found) for cell, found in prices.items()}
        self._models = {name: median(found) for name, found in by_model.items()}
        self._all = median(sales["price"].to_pylist())

    def estimate(self, vehicles: pa.Table) -> list[float]:
        """Return a price for each vehicle, in major units."""
        return [self._cells.get(cell, self._models.get(cell[:2], self._all)) for cell in _cells(vehicles)]


def _cells(table: pa.Table) -> Iterable[Cell]:
    return zip(
        table["make"].to_pylist(), table["model"].to_pylist(), table["model_year"].to_pylist(), strict=True
    )


def median_error_pct(estimates: Iterable[float], prices: Iterable[float]) -> float:
    """Return the median absolute error in per cent of the price."""
    return 100.0 * float(
        median(abs(estimate - price) / price for estimate, price in zip(estimates, prices, strict=True))
    )
