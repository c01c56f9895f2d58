"""Import a file: all of it, or nothing and the faults by line. Importing it again changes nothing."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import psycopg

from collateral.contacts.cipher import ContactCipher
from collateral.domain import UpsertCounts
from collateral.imports.cells import CellContext
from collateral.imports.columns import Parsed, parse
from collateral.imports.kinds import KINDS
from collateral.imports.report import BadFile, Fault, ImportReport
from collateral.imports.store import wait_for_turn
from collateral.imports.tables import read_table
from collateral.imports.writing import WRITERS, Surroundings
from core.domain.money import check_currency
from core.errors import Rejected

if TYPE_CHECKING:
    from core.db.pool import Connection


@dataclass(frozen=True, slots=True)
class ImportOptions:
    """What a file does not say itself. ``at``: telemetry time of moves that have no date of their own."""

    timezone: str = "Asia/Shanghai"
    currency: str = "CNY"
    at: datetime | None = None
    cipher: ContactCipher | None = None


DEFAULT_OPTIONS = ImportOptions()


def import_file(
    conn: Connection, kind: str, path: Path, options: ImportOptions = DEFAULT_OPTIONS
) -> ImportReport:
    """Import a CSV or XLSX file of ``vehicles``, ``loans``, ``devices`` or ``contacts``.

    An empty cell keeps what is stored. A loan's snapshot older than the stored one is left alone and counted
    as stale. The caller commits; whatever it does, a faulty file leaves nothing behind.

    Raises:
        Rejected: no such kind, or a bad currency.
        Misconfigured: contacts without a cipher.
    """
    if kind not in KINDS:
        raise Rejected(f"Import: expected one of {', '.join(KINDS)}, was {kind!r}", code="bad_import_kind")
    context = CellContext(timezone=options.timezone, currency=check_currency(options.currency))
    try:
        parsed = parse(read_table(path), KINDS[kind], context)
    except BadFile as exc:
        return ImportReport(kind, errors=[Fault(0, "", exc.code, exc.message)])
    counts = _write_or_leave(conn, kind, parsed, Surroundings(options.at, options.cipher, options.currency))
    return ImportReport(
        kind,
        counts.inserted,
        counts.updated,
        counts.unchanged,
        counts.stale,
        sorted(parsed.faults),
        parsed.ignored,
    )


def _write_or_leave(conn: Connection, kind: str, parsed: Parsed, around: Surroundings) -> UpsertCounts:
    """Write inside a savepoint, so that faults found while writing take back what was written.

    The lock comes first: it also opens the caller's transaction, without which the block would commit.
    """
    wait_for_turn(conn)
    counts = UpsertCounts()
    with conn.transaction() as savepoint:
        written = WRITERS[kind](conn, parsed, around)
        if parsed.faults:
            raise psycopg.Rollback(savepoint)
        counts = written
    return counts
