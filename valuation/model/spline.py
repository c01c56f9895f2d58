"""The age curve: a broken line in log value with knots at 0, 1, 3, 5, 8 and 12 years (valuation.md 3)."""

from __future__ import annotations

import numpy as np

from valuation.model.rows import Floats

KNOTS_Y = (0.0, 1.0, 3.0, 5.0, 8.0, 12.0)


def age_basis(age_y: Floats) -> Floats:
    """Return (rows, 6): years spent in each span between knots, the last one open.

    A coefficient is then the slope of log value within its span, per year.
    """
    edges = np.array([*KNOTS_Y[1:], np.inf])
    starts = np.array(KNOTS_Y)
    spent: Floats = np.clip(age_y[:, None] - starts, 0.0, edges - starts)
    return spent
