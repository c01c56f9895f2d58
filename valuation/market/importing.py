"""`market import`: one file becomes observations, all of it or nothing, once."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from core.errors import Misconfigured
from valuation.intake.files import read_batches
from valuation.intake.normalise import require
from valuation.market import store
from valuation.market.admitting import ImportResult, Intake

if TYPE_CHECKING:
    from core.db.pool import Connection
    from valuation.intake.mapping import Mapping

NEEDED = ("make", "model_year", "price_minor", "currency", "channel", "observed_at")
"""What a mapping must feed, or not one row could be used."""


def import_file(
    conn: Connection, file: Path, mapping: Mapping, *, tell: Callable[[str], None] = lambda _: None
) -> ImportResult:
    """Read and store a file in the caller's transaction; ``tell`` hears how far it is.

    The same file under the same mapping adds nothing a second time, also when two import it at once.

    Raises:
        Misconfigured: there is no such file, or the mapping is not one for it.
        Rejected: the file cannot be read to its end.
    """
    if not file.is_file():
        raise Misconfigured(f"Market file: expected a file, was {str(file)!r}", code="file_absent")
    with file.open("rb") as stream:
        digest = hashlib.file_digest(stream, "sha256").digest()
    intake = Intake(mapping)
    first = True
    for batch in read_batches(file):
        if first:
            require(mapping, batch.column_names, NEEDED)
            first = False
        intake.take(batch)
        tell(f"{intake.rows:,} rows read")
    store.lock_imports(conn)
    before = store.find_import(conn, digest, mapping.sha256)
    if before is not None:
        return ImportResult(
            before.import_id,
            before.rows_read,
            0,
            before.kept + before.duplicate,
            before.quarantined,
            already_imported=True,
        )
    result = intake.store(conn, name=file.name, file_sha256=digest)
    tell(f"{result.kept:,} rows stored")
    return result
