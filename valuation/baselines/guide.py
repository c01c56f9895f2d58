"""The guide price alone, where a row brings one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from valuation.baselines.peer import Baseline

if TYPE_CHECKING:
    import pyarrow as pa

    from valuation.model.rows import Floats
    from valuation.model.valuer import Model


def _guide(model: Model, known: pa.Table, asked: pa.Table, days: Any) -> Floats:
    rows, _ = model.vocabulary.rows(asked, days)
    value: Floats = np.exp(rows.numbers["log_guide"])
    return value


GUIDE = Baseline("guide", _guide)
