"""Many rows as one parameter: a JSON array that `jsonb_to_recordset` turns into rows.

One statement for thousands of rows keeps statement triggers (revision bumps) to one firing.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import msgspec

from collateral.domain import UpsertCounts


def as_json(rows: Iterable[object]) -> str:
    """Encode dataclasses or dicts; dates and times in ISO 8601."""
    return msgspec.json.encode(list(rows)).decode()


def counted(asked: int, written: Sequence[tuple[bool]]) -> UpsertCounts:
    """Count the rows of an upsert's `RETURNING (xmax = 0)`: true was new, false was changed."""
    inserted = sum(1 for (new,) in written if new)
    return UpsertCounts(inserted, len(written) - inserted, asked - len(written))
