"""The market level and a straight-line effect of mileage and condition: a curve without trees."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from valuation.baselines.peer import Baseline

if TYPE_CHECKING:
    import pyarrow as pa

    from valuation.model.rows import Floats
    from valuation.model.valuer import Model


def _parametric(model: Model, known: pa.Table, asked: pa.Table, days: Any) -> Floats:
    rows, reason = model.vocabulary.rows(asked, days)
    stage = model.stage
    level = stage.level.read(rows, stage.groupings.find(rows)).level
    value: Floats = np.exp(level + stage.level.use_effect(rows))
    return np.where(reason == None, value, np.nan)  # noqa: E711 - elementwise on an object array


PARAMETRIC = Baseline("level_and_age", _parametric)
