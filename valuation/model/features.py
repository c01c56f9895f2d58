"""What the trees see of a row, and in which direction each column may move the value."""

from __future__ import annotations

import numpy as np

from valuation.model.level import ENCODINGS, LEVELS, Read
from valuation.model.rows import TRIM_NUMBERS, Floats, Rows, typical_km

PLAIN = (*TRIM_NUMBERS, "engine_l", "power_hp", "economy_mpg", "road_tax_minor", "cylinders", "log_new")
DOWN, FREE, UP = -1, 0, 1

FEATURES: tuple[tuple[str, int], ...] = (
    ("odometer_km", DOWN),
    ("odometer_log_ratio", DOWN),
    ("condition", UP),
    ("defects", DOWN),
    ("age_y", FREE),
    ("model_year", FREE),
    ("level", FREE),
    ("slope", FREE),
    *((f"level_{columns[-1]}", FREE) for columns, _ in LEVELS),
    *((f"rows_{columns[-1]}", FREE) for columns, _ in LEVELS[1:]),
    *(("effect_" + "_".join(columns), FREE) for columns, _ in ENCODINGS),
    *((name, FREE) for name in PLAIN),
    ("new_level_gap", FREE),
)
"""Name and direction; the order is the order of the columns."""
DIRECTIONS = tuple(direction for _, direction in FEATURES)
GUIDED_DIRECTIONS = (*DIRECTIONS, FREE, FREE)


def feature_matrix(rows: Rows, read: Read) -> Floats:
    """Return (rows, len(FEATURES)); NaN is 'not known'."""
    level = read.level
    odometer_km = rows.numbers["odometer_km"]
    columns = [
        odometer_km,
        np.log(np.maximum(odometer_km, 500.0) / typical_km(rows.age_y)),
        rows.numbers["condition"],
        rows.numbers["defects"],
        rows.age_y,
        np.where(rows.model_year > 0, rows.model_year, np.nan),
        level,
        read.slope,
        *read.deviations,
        *(np.log1p(weight) for weight in read.weights[1:]),
        *read.encodings,
        *(rows.numbers[name] for name in PLAIN),
        rows.numbers["log_new"] + read.retention - level,
    ]
    return np.column_stack(columns)


def guided_matrix(rows: Rows, read: Read) -> Floats:
    """Return (rows, len(GUIDED_DIRECTIONS)): the features, and how far the level is from the guide."""
    return np.column_stack(
        [feature_matrix(rows, read), read.level - rows.numbers["log_guide"], rows.numbers["log_guide"]]
    )
