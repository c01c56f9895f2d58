"""Columns as binary arrays of PostgreSQL, packed whole; the driver would look at each value by itself.

Pass one as a parameter with ``%b`` and a cast: ``unnest(%b::text[], %b::timestamptz[])``. No NULLs.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

import numpy as np
import psycopg
from psycopg.adapt import Dumper
from psycopg.pq import Format

if TYPE_CHECKING:
    from collections.abc import Sequence

POSTGRES_EPOCH_MS = 946_684_800_000
_head = struct.Struct(">iiIii").pack
_length = struct.Struct(">i").pack
_EIGHT = np.dtype([("length", ">i4"), ("value", ">i8")])


class TextArray(bytes):
    """A text[] in binary."""


class ByteaArray(bytes):
    """A bytea[] in binary."""


class BigintArray(bytes):
    """A bigint[] in binary."""


class MomentArray(bytes):
    """A timestamptz[] in binary."""


def text_array(values: Sequence[str]) -> TextArray:
    """Return a text[]."""
    return TextArray(_varying(25, [value.encode() for value in values]))


def bytea_array(values: Sequence[bytes]) -> ByteaArray:
    """Return a bytea[]."""
    return ByteaArray(_varying(17, values))


def bigint_array(values: Sequence[int]) -> BigintArray:
    """Return a bigint[]."""
    return BigintArray(_eights(20, np.array(values, np.int64)))


def moment_array(values_ms: Sequence[int]) -> MomentArray:
    """Return a timestamptz[] of Unix milliseconds."""
    return MomentArray(_eights(1184, (np.array(values_ms, np.int64) - POSTGRES_EPOCH_MS) * 1000))


def _varying(oid: int, values: Sequence[bytes]) -> bytes:
    parts = [_head(1, 0, oid, len(values), 1)]
    for value in values:
        parts.append(_length(len(value)))
        parts.append(value)
    return b"".join(parts)


def _eights(oid: int, values: np.typing.NDArray[np.int64]) -> bytes:
    rows = np.empty(len(values), _EIGHT)
    rows["length"] = 8
    rows["value"] = values
    return _head(1, 0, oid, len(values), 1) + rows.tobytes()


class _Packed(Dumper):
    format = Format.BINARY

    def dump(self, obj: bytes) -> bytes:
        return obj


def _register(kind: type[bytes], oid: int) -> None:
    dumper = type(f"{kind.__name__}Dumper", (_Packed,), {"oid": oid})
    psycopg.adapters.register_dumper(kind, dumper)


_register(TextArray, 1009)
_register(ByteaArray, 1001)
_register(BigintArray, 1016)
_register(MomentArray, 1185)
