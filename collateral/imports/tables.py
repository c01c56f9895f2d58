"""Files as tables of text: CSV in UTF-8 or GB18030, XLSX. Every row knows its line.

Numbers of an XLSX cell become the shortest text that means them; nothing is rounded here.
"""

from __future__ import annotations

import csv
import io
import zipfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import date, datetime, time
from pathlib import Path

import openpyxl
from openpyxl.utils.exceptions import InvalidFileException

from collateral.imports.report import BadFile, Fault

MOST_BYTES = 256 * 1024 * 1024
MOST_ROWS = 1_000_000
EXACT_BELOW = 10**15
"""Excel keeps 15 digits; a longer number in a numeric cell has already lost its end."""

_XLSX_MAGIC = b"PK\x03\x04"
_OLD_EXCEL_MAGIC = b"\xd0\xcf\x11\xe0"
_DELIMITERS = ",\t;"


@dataclass(slots=True)
class Table:
    """A header and its rows as (line, cells); rows that could not be read are faults."""

    header: list[str]
    header_line: int
    rows: list[tuple[int, list[str]]]
    faults: list[Fault] = field(default_factory=list)


def read_table(path: Path) -> Table:
    """Read a file by what it contains, whatever it is called.

    Raises:
        BadFile: missing, empty, too large, neither CSV nor XLSX, or in an unknown encoding.
    """
    try:
        size = path.stat().st_size
        if size > MOST_BYTES:
            raise BadFile(
                f"{path.name}: expected at most {MOST_BYTES} bytes, was {size}", code="file_too_large"
            )
        raw = path.read_bytes()
    except OSError as exc:
        raise BadFile(f"{path}: cannot be read: {exc.strerror}", code="file_not_readable") from exc
    if raw.startswith(_OLD_EXCEL_MAGIC):
        raise BadFile(f"{path.name}: expected XLSX or CSV, was an old XLS; save it as XLSX", code="old_excel")
    records = _xlsx_records(raw, path.name) if raw.startswith(_XLSX_MAGIC) else _csv_records(raw, path.name)
    return _table(records, path.name)


def _table(records: Iterable[tuple[int, list[str]] | Fault], name: str) -> Table:
    table: Table | None = None
    for record in records:
        if isinstance(record, Fault):
            if table is None:
                raise BadFile(f"{name}: line {record.line}: {record.message}", code=record.code)
            table.faults.append(record)
            continue
        line, cells = record
        cells = [cell.strip() for cell in cells]
        if not any(cells):
            continue
        if table is None:
            while not cells[-1]:
                cells.pop()
            table = Table(cells, line, [])
            continue
        width = len(table.header)
        while len(cells) > width and not cells[-1]:
            cells.pop()
        if len(cells) != width:
            table.faults.append(
                Fault(line, "", "wrong_column_count", f"expected {width} columns, was {len(cells)}")
            )
        elif bad := [title for title, cell in zip(table.header, cells, strict=True) if not _clean(cell)]:
            table.faults.append(
                Fault(line, bad[0], "bad_character", "expected text without control characters")
            )
        else:
            table.rows.append((line, cells))
        if len(table.rows) > MOST_ROWS:
            raise BadFile(f"{name}: expected at most {MOST_ROWS} rows", code="file_too_large")
    if table is None:
        raise BadFile(f"{name}: expected a header line, was empty", code="file_empty")
    return table


def _clean(cell: str) -> bool:
    return all(character >= " " or character in "\t\n\r" for character in cell)


def _csv_records(raw: bytes, name: str) -> Iterator[tuple[int, list[str]] | Fault]:
    text = _decode(raw, name)
    first = text.partition("\n")[0]
    delimiter = max(_DELIMITERS, key=first.count)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    while True:
        line = reader.line_num + 1
        try:
            yield line, next(reader)
        except StopIteration:
            return
        except csv.Error as exc:
            yield Fault(line, "", "broken_line", f"not a CSV line: {exc}")


def _decode(raw: bytes, name: str) -> str:
    if raw.startswith((b"\xff\xfe", b"\xfe\xff")):
        encodings = ["utf-16"]
    else:
        encodings = ["utf-8-sig", "gb18030"]
    for encoding in encodings:
        try:
            return raw.decode(encoding)
        except UnicodeDecodeError as exc:
            line = raw.count(b"\n", 0, exc.start) + 1
    raise BadFile(f"{name}: line {line}: expected text in UTF-8 or GB18030", code="bad_encoding")


def _xlsx_records(raw: bytes, name: str) -> Iterator[tuple[int, list[str]] | Fault]:
    try:
        book = openpyxl.load_workbook(io.BytesIO(raw), read_only=True, data_only=True)
    except (zipfile.BadZipFile, InvalidFileException, KeyError, ValueError, OSError) as exc:
        raise BadFile(f"{name}: expected an XLSX workbook, was damaged: {exc}", code="bad_file") from exc
    try:
        sheet = book.worksheets[0]
        width = 0
        sheet.reset_dimensions()  # some exporters write a wrong size, and rows beyond it would be lost
        for line, values in enumerate(sheet.iter_rows(values_only=True), start=1):
            cells = [_cell_text(value) for value in values]
            fault = next((cell for cell in cells if isinstance(cell, Fault)), None)
            if fault is not None:
                yield fault._replace(line=line)
                continue
            texts = [cell for cell in cells if isinstance(cell, str)]
            width = width or len(texts)
            # A sheet leaves out the empty cells at the end of a row.
            yield line, texts + [""] * (width - len(texts))
    finally:
        book.close()


def _cell_text(value: object) -> str | Fault:
    match value:
        case None:
            return ""
        case bool():
            return "true" if value else "false"
        case int() | float() if abs(value) >= EXACT_BELOW:
            return Fault(
                0, "", "number_too_long", f"expected a number of 15 digits or text, was the number {value}"
            )
        case float():
            return str(int(value)) if value.is_integer() else repr(value)
        case datetime():
            midnight = value.time() == time(0)
            return value.date().isoformat() if midnight else value.isoformat(sep=" ")
        case date():
            return value.isoformat()
        case str() if value.startswith("#") and value.endswith(("!", "?", "N/A")):
            return Fault(0, "", "formula_error", f"expected a value, was the formula error {value}")
        case _:
            return str(value)
