"""Market files: CSV (UTF-8 or GB18030), the same gzipped, or Parquet, in batches of bounded size."""

from __future__ import annotations

import codecs
import gzip
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, cast

import pyarrow as pa
import pyarrow.csv as pacsv
import pyarrow.parquet as pq

from core.errors import Misconfigured, Rejected

BATCH_ROWS = 100_000
_BLOCK_BYTES = 8 * 1024 * 1024
_PROBE_BYTES = 1024 * 1024
_PARQUET_MAGIC = b"PAR1"
_GZIP_MAGIC = b"\x1f\x8b"


def read_batches(path: Path | str) -> Iterator[pa.Table]:
    """Yield the rows of a file in order; cells of a CSV are texts, an empty one is null.

    Raises:
        Misconfigured: there is no such file.
        Rejected: it is neither Parquet nor CSV, is cut short, or rows have different numbers of cells.
    """
    file = Path(path)
    if not file.is_file():
        raise Misconfigured(f"Market file: expected a file, was {str(path)!r}", code="file_absent")
    with file.open("rb") as probe:
        magic = probe.read(4)
    try:
        if magic == _PARQUET_MAGIC:
            yield from _parquet(file)
        else:
            yield from _csv(file, gzipped=magic[:2] == _GZIP_MAGIC)
    except (pa.ArrowInvalid, OSError, EOFError, UnicodeDecodeError) as exc:
        raise Rejected(
            f"{file.name}: expected a whole CSV, CSV.GZ or Parquet file: {exc}", code="unreadable_file"
        ) from exc


def _parquet(file: Path) -> Iterator[pa.Table]:
    with pq.ParquetFile(file) as parquet:
        for batch in parquet.iter_batches(batch_size=BATCH_ROWS):
            yield pa.Table.from_batches([batch])


def _csv(file: Path, *, gzipped: bool) -> Iterator[pa.Table]:
    encoding = _encoding(file, gzipped=gzipped)
    with _opened(file, gzipped=gzipped) as stream:
        header = stream.readline().decode(encoding)
    names = _names(header, file)
    with _opened(file, gzipped=gzipped) as stream:
        reader = pacsv.open_csv(
            stream,
            # Types are not guessed: a column that is whole in the first block and has decimals in the second
            # would stop the import in the middle.
            read_options=pacsv.ReadOptions(
                column_names=names, skip_rows=1, encoding=encoding, block_size=_BLOCK_BYTES
            ),
            parse_options=pacsv.ParseOptions(newlines_in_values=True),
            convert_options=pacsv.ConvertOptions(
                column_types=dict.fromkeys(names, pa.string()), strings_can_be_null=True, null_values=[""]
            ),
        )
        for batch in reader:
            whole = pa.Table.from_batches([batch])
            for start in range(0, whole.num_rows, BATCH_ROWS):
                yield whole.slice(start, BATCH_ROWS)


def _names(header: str, file: Path) -> list[str]:
    if not header.strip():
        raise Rejected(f"{file.name}: expected a header line, was empty", code="unreadable_file")
    parsed = pacsv.read_csv(
        pa.BufferReader(header.encode()),
        read_options=pacsv.ReadOptions(autogenerate_column_names=True),
        convert_options=pacsv.ConvertOptions(strings_can_be_null=False, null_values=[]),
    )
    names = [str(column[0].as_py()).strip() for column in parsed.itercolumns()]
    doubled = sorted({name for name in names if names.count(name) > 1})
    if doubled:
        raise Rejected(
            f"{file.name}: expected different column names, was {', '.join(doubled)} twice",
            code="unreadable_file",
        )
    return names


def _opened(file: Path, *, gzipped: bool) -> BinaryIO:
    return cast("BinaryIO", gzip.open(file, "rb")) if gzipped else file.open("rb")


def _encoding(file: Path, *, gzipped: bool) -> str:
    with _opened(file, gzipped=gzipped) as stream:
        head = stream.read(_PROBE_BYTES)
    try:
        codecs.getincrementaldecoder("utf-8")().decode(head)
    except UnicodeDecodeError:
        return "gb18030"
    return "utf-8-sig" if head.startswith(codecs.BOM_UTF8) else "utf-8"
