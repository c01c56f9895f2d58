"""JSON pages become foreign tables, one text column for each mapped field path."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
import pyarrow as pa

from core.errors import Upstream

if TYPE_CHECKING:
    from valuation.connectors.source import Source

_ABSENT = object()
# Decimals stay as they were written: a price must not pass through a binary fraction.
_DECODER = msgspec.json.Decoder(float_hook=str)


def read_page(body: bytes, source: Source) -> tuple[list[dict[str, Any]], str | None]:
    """Return the items of a page and the link to the next one.

    Raises:
        Upstream: it is not JSON, or the list is not where the declaration says.
    """
    try:
        page = _DECODER.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as exc:
        raise _error(source, "bad_json", f"expected JSON: {exc}") from exc
    items = _at(page, source.items)
    if not isinstance(items, list):
        raise _error(source, "schema_drift", f"expected a list at {source.items!r}, was {_kind(items)}")
    for item in items:
        if not isinstance(item, dict):
            raise _error(source, "schema_drift", f"expected objects in {source.items!r}, was {_kind(item)}")
    link = None if source.next is None else _at(page, source.next)
    if link is _ABSENT or link is None or link == "":
        return items, None
    if not isinstance(link, str):
        raise _error(source, "schema_drift", f"expected a link at {source.next!r}, was {_kind(link)}")
    return items, link


def as_table(items: list[dict[str, Any]], source: Source) -> pa.Table:
    """Return the mapped fields of the items as texts; a field that an item lacks is null."""
    columns = {path: [_text(_at(item, path)) for item in items] for path in source.mapping.columns}
    return pa.table({path: pa.array(cells, pa.string()) for path, cells in columns.items()})


def check_fields(items: list[dict[str, Any]], source: Source) -> None:
    """Refuse a pull in which a declared field is nowhere: it was renamed, and nulls would pass for data.

    Raises:
        Upstream: schema_drift, with the fields.
    """
    if not items:
        return
    gone = [
        path
        for path in source.mapping.columns
        if path not in source.optional and all(_at(item, path) is _ABSENT for item in items)
    ]
    if gone:
        raise _error(
            source,
            "schema_drift",
            f"expected the fields {', '.join(gone)} in at least one of {len(items)} items, "
            f"the first has {', '.join(sorted(items[0])) or 'none'}",
            fields=gone,
        )


def _at(value: Any, path: str) -> Any:
    for name in path.split(".") if path else ():
        if not isinstance(value, dict) or name not in value:
            return _ABSENT
        value = value[name]
    return value


def _text(value: Any) -> str | None:
    if value is None or value is _ABSENT:
        return None
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode()
    if isinstance(value, bool):
        return "1" if value else "0"
    # An object or list where a value should be becomes a text that no reader takes for a number.
    return str(value) if isinstance(value, int) else msgspec.json.encode(value).decode()


def _kind(value: Any) -> str:
    return "nothing" if value is _ABSENT else type(value).__name__


def _error(source: Source, code: str, message: str, **facts: object) -> Upstream:
    return Upstream(f"Market source {source.name}: {message}", code=code, **facts)
