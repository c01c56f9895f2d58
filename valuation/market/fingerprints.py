"""64-bit fingerprints of rows, a column at a time: distinct texts are hashed once, numbers mixed in place.

Two different rows share one with a chance of about 2**-64; what follows from equal fingerprints is always
checked against price and day as well.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

Fingerprints = NDArray[np.uint64]

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_NULL = np.uint64(0x6A09E667F3BCC909)


def seeded(word: str, rows: int) -> Fingerprints:
    """Return the start of a fingerprint for each row."""
    return np.full(rows, _of_text(word), dtype=np.uint64)


def mixed(start: Fingerprints, columns: Iterable[pa.Array]) -> Fingerprints:
    """Return the fingerprints with these columns in them, in this order."""
    result = start
    for column in columns:
        result = _scrambled(result ^ (_of_column(column) + _GOLDEN))
    return result


def of_rows(table: pa.Table) -> Fingerprints:
    """Return a fingerprint of each row of a foreign table: names and cells, whatever their order."""
    result = seeded("row", table.num_rows)
    for name in sorted(table.column_names):
        column = table.column(name).combine_chunks()
        result = mixed(result ^ _of_text(name), [_plain(column)])
    return result


def signed(values: Fingerprints) -> pa.Array:
    """Return the values as PostgreSQL's bigint."""
    return pa.array(values.view(np.int64))


def _plain(column: Any) -> pa.Array:
    return pa.concat_arrays(column.chunks) if isinstance(column, pa.ChunkedArray) else column


def _of_column(column: pa.Array) -> Fingerprints:
    if pa.types.is_integer(column.type) or pa.types.is_floating(column.type):
        numbers = np.asarray(pc.fill_null(column.cast(pa.float64(), safe=False), 0), dtype=np.float64)
        bits = _scrambled((numbers + 0).view(np.uint64))  # adding zero makes one zero of two
        whole: Fingerprints = np.where(np.asarray(pc.is_null(column)), _NULL, bits)
        return whole
    cells = pc.dictionary_encode(pc.cast(column, pa.string()))
    words = np.array([*map(_of_text, cells.dictionary.to_pylist()), _NULL], dtype=np.uint64)
    read: Fingerprints = words[np.asarray(pc.fill_null(cells.indices, len(words) - 1))]
    return read


def _of_text(text: str) -> np.uint64:
    return np.uint64(int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "little"))


def _scrambled(values: Fingerprints) -> Fingerprints:
    """SplitMix64's finaliser (Steele, Lea, Flood 2014); unsigned arithmetic wraps, as it should."""
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return values ^ (values >> np.uint64(31))
