"""The one door for market rows, whether they come from a file or a feed: judge, tell apart, store, count."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from valuation.frame import OBSERVATION_SCHEMA
from valuation.intake.normalise import normalise
from valuation.market import store
from valuation.market.duplicates import find_duplicates, offers_of
from valuation.market.fingerprints import of_rows
from valuation.market.outliers import find_outliers

if TYPE_CHECKING:
    from core.db.pool import Connection
    from valuation.intake.mapping import Mapping
    from valuation.market.fingerprints import Fingerprints

_QUARANTINE_SCHEMA = pa.schema([("row_number", pa.int64()), ("reason", pa.string()), ("raw", pa.string())])


@dataclass(frozen=True, slots=True)
class ImportResult:
    """Counts of one file or page; every row read is in exactly one of them."""

    import_id: int
    rows: int
    kept: int
    duplicate: int
    quarantined: dict[str, int] = field(default_factory=dict)
    already_imported: bool = False

    @property
    def usable(self) -> bool:
        """Whether anything in the file could be used, now or when it first came."""
        return bool(self.kept or self.duplicate)


class Intake:
    """Gathers the batches of one file or page, then stores them in the caller's transaction."""

    def __init__(self, mapping: Mapping) -> None:
        self._mapping = mapping
        self._tables: list[pa.Table] = []
        self._numbers: list[Any] = []
        self._hashes: list[Fingerprints] = []
        self._refused: list[pa.Table] = []
        self._rows = 0

    @property
    def rows(self) -> int:
        """How many rows have been read."""
        return self._rows

    def take(self, batch: pa.Table) -> None:
        """Read one batch of foreign rows."""
        normal = normalise(batch, self._mapping, observations=True)
        numbers = np.arange(self._rows + 1, self._rows + 1 + batch.num_rows)
        fine = np.asarray(pc.is_null(normal.faults))
        self._tables.append(normal.table.filter(pa.array(fine)))
        self._numbers.append(numbers[fine])
        self._hashes.append(of_rows(batch)[fine])
        self._rows += batch.num_rows
        if not fine.all():
            self._refuse(batch.filter(pa.array(~fine)), numbers[~fine], normal.faults.filter(pa.array(~fine)))

    def store(self, conn: Connection, *, name: str, file_sha256: bytes) -> ImportResult:
        """Write what is new; call once, with imports locked."""
        table = pa.concat_tables([OBSERVATION_SCHEMA.empty_table(), *self._tables]).combine_chunks()
        numbers = np.concatenate([np.zeros(0, dtype=np.int64), *self._numbers])
        hashes = np.concatenate([np.zeros(0, dtype=np.uint64), *self._hashes])
        far = find_outliers(table)
        if far.any():
            # Shown as it was understood: the foreign cells are gone by now, and what is wrong is the price.
            self._refuse(table.filter(pa.array(far)), numbers[far], pa.array(["outlier"] * int(far.sum())))
            table, numbers, hashes = table.filter(pa.array(~far)), numbers[~far], hashes[~far]
        offers = offers_of(table)
        repeated = find_duplicates(offers, store.stored_offers(conn, offers.identity))
        fresh = ~repeated
        refused = pa.concat_tables([_QUARANTINE_SCHEMA.empty_table(), *self._refused])
        reasons = dict(sorted(Counter(refused.column("reason").to_pylist()).items()))
        import_id = store.add_import(
            conn,
            file_sha256=file_sha256,
            mapping_sha256=self._mapping.sha256,
            file_name=name,
            mapping_name=self._mapping.name,
            rows_read=self._rows,
            kept=int(fresh.sum()),
            duplicate=int(repeated.sum()),
            quarantined=reasons,
        )
        kept = table.filter(pa.array(fresh))
        store.add_observations(conn, import_id, kept, numbers[fresh], hashes[fresh], offers.identity[fresh])
        store.add_quarantine(conn, import_id, refused)
        return ImportResult(import_id, self._rows, int(fresh.sum()), int(repeated.sum()), reasons)

    def _refuse(self, rows: pa.Table, numbers: Any, reasons: pa.Array) -> None:
        raw = [msgspec.json.encode(row).decode() for row in rows.to_pylist()]
        self._refused.append(
            pa.Table.from_arrays(
                [pa.array(numbers), reasons, pa.array(raw, pa.string())], schema=_QUARANTINE_SCHEMA
            )
        )
