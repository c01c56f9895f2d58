"""Numbers out of foreign cells: numeric columns as they are, texts such as ``1.39万公里`` or ``$12,500``.

Texts are read once per distinct cell, so a column of half a million rows costs what its vocabulary costs.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from valuation.intake.units import SCALES, SPOKEN, UNITS

if TYPE_CHECKING:
    from numpy.typing import NDArray

_NUMBER = re.compile(
    r"[¥￥$€£₹]?\s*(?P<sign>[-−－])?(?P<digits>\d{1,3}(?:,\d{3})+|\d+|(?=\.\d))(?P<fraction>\.\d*)?\s*"
    r"(?P<scale>k(?![a-z])|千(?![米瓦])|[万萬亿]|)\s*(?P<unit>[a-z]+|[一-鿿]+)?"
)
_FULL_WIDTH = str.maketrans("０１２３４５６７８９，．　", "0123456789,. ")
UNKNOWN = {"", "-", "--", "n/a", "na", "nan", "none", "null", "未知", "暂无", "无"}
"""What sources write into a cell of which they know nothing."""


def read_numbers(
    column: pa.Array, ours: str, unit: str | None
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Return the column in our unit (NaN: unknown), and where a cell is no number.

    A unit or scale written in the cell wins over the declared one.
    """
    declared = UNITS.get(ours, {}).get(unit or "", 1.0)
    if pa.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    if pa.types.is_null(column.type):
        return np.full(len(column), np.nan), np.zeros(len(column), dtype=bool)
    if not (pa.types.is_string(column.type) or pa.types.is_large_string(column.type)):
        numbers = _as_floats(column)
        return numbers * declared, np.isinf(numbers)
    cells = column.dictionary_encode()
    read = [_read(text, ours, declared) for text in cells.dictionary.to_pylist()]
    values = np.array([*(np.nan if one is None else one for one in read), np.nan])
    wrong = np.array([*(one is None for one in read), False])
    where = np.asarray(pc.fill_null(cells.indices, len(read)))
    return values[where], wrong[where]


def _as_floats(column: pa.Array) -> NDArray[np.float64]:
    if pa.types.is_boolean(column.type):
        column = column.cast(pa.int8())
    return np.asarray(column.cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False), dtype=np.float64)


def _read(text: str, ours: str, declared: float) -> float | None:
    """Return the number, NaN for an empty cell, None for what is no number."""
    plain = text.translate(_FULL_WIDTH).strip().lower()
    if plain in UNKNOWN:
        return np.nan
    match = _NUMBER.fullmatch(plain)
    if match is None:
        return None
    number = float((match["digits"].replace(",", "") or "0") + (match["fraction"] or ""))
    scale, word = match["scale"], match["unit"] or ""
    if word and word not in SPOKEN:
        return None
    spoken = SPOKEN.get(word, "")
    if spoken:
        factor = UNITS.get(ours, {}).get(spoken)
        if factor is None:
            return None
        # "1.39万公里" says all of it; "3.5公里" in a column of 万公里 says the unit it is in.
        factor *= SCALES[scale]
    else:
        factor = SCALES[scale] if scale else declared
    return (-number if match["sign"] else number) * factor
