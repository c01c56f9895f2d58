"""SQL of market observations. Rows travel as CSV between Arrow and COPY, in both directions."""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.csv as pacsv
from psycopg import sql
from psycopg.types.json import Jsonb

from valuation.frame import OBSERVATION_SCHEMA
from valuation.market.duplicates import Offers
from valuation.market.fingerprints import Fingerprints, signed
from valuation.market.twins import without_twins

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import date

    from core.db.pool import Connection

LOCK_KEY = (7600, 0)
"""One import at a time: telling duplicates from stored rows is a read before a write."""
_COPY_BYTES = 1024 * 1024
_NAMES = OBSERVATION_SCHEMA.names
_STORED_SCHEMA = pa.schema([("observation_id", pa.int64()), *OBSERVATION_SCHEMA])


@dataclass(frozen=True, slots=True)
class StoredImport:
    """What an import came to."""

    import_id: int
    rows_read: int
    kept: int
    duplicate: int
    quarantined: dict[str, int]


def lock_imports(conn: Connection) -> None:
    """Wait until no other transaction imports; held to the end of this one."""
    conn.execute("SELECT pg_advisory_xact_lock(%s, %s)", LOCK_KEY)


def find_import(conn: Connection, file_sha256: bytes, mapping_sha256: bytes) -> StoredImport | None:
    """Return the import of exactly this file under exactly this mapping."""
    row = conn.execute(
        "SELECT import_id, rows_read, kept, duplicate, quarantined FROM market_import"
        " WHERE file_sha256 = %s AND mapping_sha256 = %s",
        (file_sha256, mapping_sha256),
    ).fetchone()
    return StoredImport(*row) if row else None


def add_import(
    conn: Connection,
    *,
    file_sha256: bytes,
    mapping_sha256: bytes,
    file_name: str,
    mapping_name: str,
    rows_read: int,
    kept: int,
    duplicate: int,
    quarantined: Mapping[str, int],
) -> int:
    """Write the header of an import and return its id."""
    row = conn.execute(
        "INSERT INTO market_import (file_sha256, mapping_sha256, file_name, mapping_name, state, rows_read,"
        " kept, duplicate, quarantined) VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s) RETURNING import_id",
        (
            file_sha256,
            mapping_sha256,
            file_name,
            mapping_name,
            "done" if kept or duplicate else "nothing_usable",
            rows_read,
            kept,
            duplicate,
            Jsonb(dict(quarantined)),
        ),
    ).fetchone()
    assert row is not None  # noqa: S101 - RETURNING of one inserted row
    return int(row[0])


def stored_offers(conn: Connection, identities: Fingerprints) -> Offers:
    """Return the stored offers that have one of these identities."""
    known = conn.execute("SELECT EXISTS (SELECT FROM market_observation)").fetchone()
    if not len(identities) or known is None or not known[0]:
        return _offers(pa.table({"identity": pa.array([], pa.int64())}))
    conn.execute("CREATE TEMP TABLE IF NOT EXISTS market_asked (identity bigint) ON COMMIT DELETE ROWS")
    conn.execute("TRUNCATE market_asked")
    _copy_in(conn, "market_asked", pa.table({"identity": signed(np.unique(identities))}))
    conn.execute("ANALYZE market_asked")
    schema = pa.schema(
        [("identity", pa.int64()), ("price_minor", pa.int64()), ("day", pa.int64()), ("free", pa.int64())]
    )
    return _offers(
        _copy_out(
            conn,
            sql.SQL(
                "COPY (SELECT identity, price_minor, observed_at - DATE '1970-01-01',"
                " (vin IS NOT NULL AND channel IN ('retail', 'private'))::int"
                " FROM market_observation JOIN market_asked USING (identity) ORDER BY observation_id)"
                " TO STDOUT (FORMAT csv)"
            ),
            schema,
        )
    )


def _offers(table: pa.Table) -> Offers:
    if table.num_rows == 0:
        none = np.zeros(0, dtype=np.int64)
        return Offers(none.view(np.uint64), none, none, none.astype(bool))
    identity, price, day, free = (table.column(at).to_numpy() for at in range(4))
    return Offers(identity.view(np.uint64), price, day, free.astype(bool))


def add_observations(
    conn: Connection,
    import_id: int,
    table: pa.Table,
    row_numbers: Any,
    raw_hashes: Fingerprints,
    identities: Fingerprints,
) -> None:
    """Append rows of OBSERVATION_SCHEMA; ``row_numbers`` count from 1 within the file."""
    rows = pa.table(
        {
            "import_id": pa.array(np.full(table.num_rows, import_id)),
            "row_number": pa.array(row_numbers),
            "raw_hash": signed(raw_hashes),
            "identity": signed(identities),
            **{name: table.column(name) for name in _NAMES},
        }
    )
    _copy_in(conn, "market_observation", rows)


def add_quarantine(conn: Connection, import_id: int, rows: pa.Table) -> None:
    """Append refused rows: row_number, reason, raw (JSON text)."""
    ids = pa.array(np.full(rows.num_rows, import_id))
    _copy_in(conn, "market_quarantine", rows.add_column(0, "import_id", ids))


def load_observations(
    conn: Connection, *, currency: str, channel: str, until: date | None = None
) -> pa.Table:
    """Return observation_id and OBSERVATION_SCHEMA of one market, up to and including ``until``.

    A sale that two sources tell is there once, as the fuller source tells it.
    """
    told = _copy_out(
        conn,
        sql.SQL(
            "COPY (SELECT {columns} FROM market_observation"
            " WHERE currency = {currency} AND channel = {channel} AND observed_at <= {until}"
            " ORDER BY observed_at, observation_id) TO STDOUT (FORMAT csv)"
        ).format(
            columns=sql.SQL(", ").join(map(sql.Identifier, _STORED_SCHEMA.names)),
            currency=sql.Literal(currency),
            channel=sql.Literal(channel),
            until=sql.SQL("'infinity'") if until is None else sql.Literal(until),
        ),
        _STORED_SCHEMA,
    )
    return without_twins(told)


def _copy_in(conn: Connection, table: str, rows: pa.Table) -> None:
    if rows.num_rows == 0:
        return
    buffer = io.BytesIO()
    # Texts are quoted and null is not, which is how PostgreSQL tells an empty text from none. One chunk: the
    # writer of pyarrow 26 puts memory that nobody wrote into the file when it meets an empty chunk.
    pacsv.write_csv(
        rows.combine_chunks(), buffer, pacsv.WriteOptions(include_header=False, quoting_style="needed")
    )
    columns = sql.SQL(", ").join(map(sql.Identifier, rows.column_names))
    statement = sql.SQL("COPY {} ({}) FROM STDIN (FORMAT csv)").format(sql.Identifier(table), columns)
    view = buffer.getbuffer()
    with conn.cursor() as cursor, cursor.copy(statement) as copy:
        for start in range(0, len(view), _COPY_BYTES):
            copy.write(view[start : start + _COPY_BYTES])


def _copy_out(conn: Connection, statement: sql.SQL | sql.Composed, schema: pa.Schema) -> pa.Table:
    buffer = io.BytesIO()
    with conn.cursor() as cursor, cursor.copy(statement) as copy:
        for block in copy:
            buffer.write(block)
    if not buffer.tell():
        return schema.empty_table()
    buffer.seek(0)
    return pacsv.read_csv(
        buffer,
        read_options=pacsv.ReadOptions(column_names=schema.names, block_size=8 * _COPY_BYTES),
        parse_options=pacsv.ParseOptions(newlines_in_values=True),
        convert_options=pacsv.ConvertOptions(
            column_types=schema, null_values=[""], strings_can_be_null=True, quoted_strings_can_be_null=False
        ),
    )
