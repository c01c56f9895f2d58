"""A table's columns become our fields; its cells become values, and what cannot is a fault by line."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import Any, NamedTuple

from collateral.imports.cells import CellContext, plain, word_lists
from collateral.imports.report import Fault
from collateral.imports.tables import Table
from core.errors import Rejected

Reader = Callable[[str, CellContext], Any]

_UNIT = re.compile(r"[(\[【]([^()\[\]【】]*)[)\]】]\s*$")


class Row(NamedTuple):
    """A row with its values by field; empty cells are absent."""

    line: int
    values: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Kind:
    """What a kind of file may hold: how each field is read, and which must be there.

    ``required``: each entry lists fields of which one must be a column and not empty.
    """

    name: str
    readers: Mapping[str, Reader]
    required: Sequence[tuple[str, ...]]


@dataclass(frozen=True, slots=True)
class _Column:
    index: int
    title: str
    field: str
    scale_exponent: int


@dataclass(frozen=True, slots=True)
class Parsed:
    """A file's rows, its faults, and the columns that mean nothing to us."""

    rows: list[Row]
    faults: list[Fault]
    ignored: tuple[str, ...]
    titles: dict[str, str]

    def fault(self, line: int, field: str, code: str, message: str) -> None:
        """Add a fault found by looking at more than one cell."""
        self.faults.append(Fault(line, self.titles.get(field, ""), code, message))


def parse(table: Table, kind: Kind, context: CellContext) -> Parsed:
    """Read every cell of a table."""
    columns, ignored, faults = _columns(table, kind)
    parsed = Parsed([], [*table.faults, *faults], ignored, {column.field: column.title for column in columns})
    _missing_columns(table, kind, parsed)
    if faults or any(fault.code == "missing_column" for fault in parsed.faults):
        return parsed
    # The currency is read first: amounts in the same row depend on it.
    columns = sorted(columns, key=lambda column: column.field != "currency")
    for line, cells in table.rows:
        values = _values(line, cells, columns, kind, context, parsed.faults)
        if values is None:
            continue
        for fields in kind.required:
            if not any(field in values for field in fields):
                shown = next((field for field in fields if field in parsed.titles), fields[0])
                parsed.fault(line, shown, "missing_value", f"expected {' or '.join(fields)}, was empty")
                break
        else:
            parsed.rows.append(Row(line, values))
    return parsed


def _values(
    line: int,
    cells: Sequence[str],
    columns: Sequence[_Column],
    kind: Kind,
    context: CellContext,
    faults: list[Fault],
) -> dict[str, Any] | None:
    values: dict[str, Any] = {}
    faulty = False
    for column in columns:
        text = cells[column.index].strip()
        if not text:
            continue
        here = replace(
            context,
            currency=values.get("currency", context.currency),
            scale_exponent=column.scale_exponent,
        )
        try:
            values[column.field] = kind.readers[column.field](text, here)
        except Rejected as exc:
            faulty = True
            faults.append(Fault(line, column.title, exc.code, exc.message))
    return None if faulty else values


def _columns(table: Table, kind: Kind) -> tuple[list[_Column], tuple[str, ...], list[Fault]]:
    columns: list[_Column] = []
    ignored: list[str] = []
    faults: list[Fault] = []
    taken: dict[str, str] = {}
    for index, title in enumerate(table.header):
        field, scale_exponent = _field_of(kind.name, title)
        if field is None:
            if title:
                ignored.append(title)
        elif field in taken:
            faults.append(
                Fault(
                    table.header_line,
                    title,
                    "duplicate_column",
                    f"expected one column for {field}, was also {taken[field]!r}",
                )
            )
        else:
            taken[field] = title
            columns.append(_Column(index, title, field, scale_exponent))
    return columns, tuple(ignored), faults


def _missing_columns(table: Table, kind: Kind, parsed: Parsed) -> None:
    for fields in kind.required:
        if not any(field in parsed.titles for field in fields):
            parsed.faults.append(
                Fault(
                    table.header_line,
                    "",
                    "missing_column",
                    f"expected a column {' or '.join(_known_as(kind.name, field) for field in fields)}; "
                    f"the header is {', '.join(table.header)}",
                )
            )


def _known_as(kind: str, field: str) -> str:
    chinese = next((name for name in word_lists()["columns"][kind][field] if not name.isascii()), None)
    return f"{field} ({chinese})" if chinese else field


def _field_of(kind: str, title: str) -> tuple[str | None, int]:
    """Return the field of a header and the tens of its unit; ``车架号/VIN`` is either of its names."""
    written = unicodedata.normalize("NFKC", title)
    scale_exponent = 0
    match = _UNIT.search(written)
    bare = written
    if match is not None and plain(match[1]) in _units():
        scale_exponent = _units()[plain(match[1])]
        bare = written[: match.start()]
    known = _titles(kind)
    without_brackets = _UNIT.sub("", bare)
    for candidate in (bare, without_brackets, *re.split(r"[/|、]", without_brackets)):
        field = known.get(plain(candidate))
        if field is not None:
            return field, scale_exponent
    return None, scale_exponent


@cache
def _titles(kind: str) -> dict[str, str]:
    return {
        plain(title): field
        for field, titles in word_lists()["columns"][kind].items()
        for title in (field, *titles)
    }


@cache
def _units() -> dict[str, int]:
    return {plain(name): int(tens) for tens, names in word_lists()["units"].items() for name in names}
