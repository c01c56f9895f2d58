"""Lists are ``{"items": […], "next": cursor|null}``; a cursor is opaque to the asker."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Annotated, Generic, TypeVar
from uuid import UUID

from fastapi import Query
from pydantic import BaseModel

from core.errors import Rejected

Item = TypeVar("Item")
Row = TypeVar("Row")

MOST = 500
Limit = Annotated[int, Query(ge=1, le=MOST, description="At most so many items.")]
Cursor = Annotated[str | None, Query(max_length=600, description="`next` of the page before.")]


class Page(BaseModel, Generic[Item]):
    """A page of a list; ``next`` is null on the last one."""

    items: list[Item]
    next: str | None = None


def encode(*key: str | int) -> str:
    """Return a cursor that stands behind a row with this key."""
    return base64.urlsafe_b64encode(json.dumps(key).encode()).decode().rstrip("=")


def decode(cursor: str | None, *types: type) -> list[str | int] | None:
    """Return the key in a cursor, or None for the first page.

    Raises:
        Rejected: the cursor is not one of ours (``bad_cursor``).
    """
    if cursor is None:
        return None
    try:
        key = json.loads(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
    except (binascii.Error, ValueError, UnicodeDecodeError) as exc:
        raise _bad() from exc
    if (
        not isinstance(key, list)
        or len(key) != len(types)
        or any(type(part) is not kind for part, kind in zip(key, types, strict=True))
        or any(isinstance(part, int) and abs(part) >= 2**63 for part in key)
        or any(isinstance(part, str) and ("\x00" in part or not part.isprintable()) for part in key)
    ):
        raise _bad()
    return key


def decode_moment_and_id(cursor: str | None) -> tuple[datetime, UUID] | None:
    """Return the (moment, id) in a cursor of a list that is ordered by both, or None for the first page.

    Raises:
        Rejected: the cursor is not one of ours (``bad_cursor``).
    """
    key = decode(cursor, str, str)
    if key is None:
        return None
    try:
        moment, row_id = datetime.fromisoformat(str(key[0])), UUID(str(key[1]))
    except ValueError as exc:
        raise _bad() from exc
    if moment.tzinfo is None:
        raise _bad()
    return moment, row_id


def cut(
    rows: Sequence[Row], limit: int, key: Callable[[Row], Sequence[str | int]]
) -> tuple[list[Row], str | None]:
    """Return the page and its cursor from rows fetched with ``limit + 1``."""
    shown = list(rows[:limit])
    return shown, encode(*key(shown[-1])) if len(rows) > limit and shown else None


def _bad() -> Rejected:
    return Rejected("Expected the `next` value of an earlier page, was something else", code="bad_cursor")
