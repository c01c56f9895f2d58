"""How good estimates were: the measures of ratio studies and of automated valuation (valuation.md 1, 5)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from valuation.model.rows import Floats


def scores(
    estimate: Floats, price: Floats, low: Floats | None = None, high: Floats | None = None
) -> dict[str, float]:
    """Return n, mdape, mape, ppe10, ppe15, over15, median_ratio, cod, prd; with edges coverage and width.

    Shares are per cent of rows. ``over15``: valued more than 15 % above the price, the lender's loss.
    ``cod``: mean absolute deviation of estimate/price from its median. ``prd``: mean ratio over ratio of
    sums; above 1.03 cheap cars are overvalued against dear ones.
    """
    if not len(price):
        return {"n": 0}
    ratio = estimate / price
    off = np.abs(ratio - 1.0)
    middle = float(np.median(ratio))
    found = {
        "n": len(price),
        "mdape": 100.0 * float(np.median(off)),
        "mape": 100.0 * float(off.mean()),
        "ppe10": 100.0 * float((off <= 0.10).mean()),
        "ppe15": 100.0 * float((off <= 0.15).mean()),
        "over15": 100.0 * float((ratio > 1.15).mean()),
        "median_ratio": middle,
        "cod": 100.0 * float(np.abs(ratio - middle).mean()) / middle,
        "prd": float(ratio.mean()) / float(estimate.sum() / price.sum()),
    }
    if low is not None and high is not None:
        found["coverage"] = 100.0 * float(((low <= price) & (price <= high)).mean())
        found["width"] = 100.0 * float(np.median((high - low) / estimate))
    return {name: round(value, 3) for name, value in found.items()}
