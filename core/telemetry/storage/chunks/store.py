"""SQL of chunks. Names of chunks come from TimescaleDB's own view, quoted there."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from core.db.pool import Connection


class Chunk(NamedTuple):
    """A chunk of telemetry: event times [starts, ends)."""

    name: str
    starts: datetime
    ends: datetime
    compressed: bool


class ColumnstoreTotals(NamedTuple):
    """What the columnstore holds, by our own record."""

    chunks: int
    late_rows: int
    bytes_before: int
    bytes_after: int


def chunks(conn: Connection) -> list[Chunk]:
    """Return the chunks of telemetry, oldest first."""
    rows = conn.execute(
        "SELECT format('%I.%I', chunk_schema, chunk_name), range_start, range_end, is_compressed"
        " FROM timescaledb_information.chunks"
        " WHERE hypertable_schema = current_schema AND hypertable_name = 'telemetry' ORDER BY range_start"
    ).fetchall()
    return [Chunk(*row) for row in rows]


def compressed_at(conn: Connection, chunk: Chunk) -> datetime | None:
    """Return the telemetry time at which we last compressed a chunk; None: not we, or never."""
    row = conn.execute(
        "SELECT compressed_at FROM telemetry_columnstore WHERE chunk = %s", (chunk.name,)
    ).fetchone()
    return row[0] if row else None


def rows_outside(conn: Connection, chunk: Chunk, since: datetime | None) -> tuple[int, int]:
    """Return how many rows of a compressed chunk are not in the columnstore; how many arrived since."""
    row = conn.execute(
        "SELECT count(*), count(*) FILTER (WHERE received_at >= coalesce(%s, '-infinity'::timestamptz))"
        f" FROM ONLY {chunk.name}".encode(),
        (since,),
    ).fetchone()
    return (int(row[0]), int(row[1])) if row else (0, 0)


def compress(conn: Connection, chunk: Chunk, now: datetime, late_rows: int) -> None:
    """Bring a chunk into the columnstore (again), and remember when and how many late rows it took up."""
    conn.execute("SELECT compress_chunk(%s::regclass, true)", (chunk.name,))
    conn.execute(
        "INSERT INTO telemetry_columnstore AS known"
        " (chunk, starts, ends, compressed_at, late_rows, bytes_before, bytes_after)"
        " SELECT %(chunk)s, %(starts)s, %(ends)s, %(now)s, %(late)s,"
        " coalesce(sum(before_compression_total_bytes), 0), coalesce(sum(after_compression_total_bytes), 0)"
        " FROM chunk_compression_stats('telemetry')"
        " WHERE format('%%I.%%I', chunk_schema, chunk_name) = %(chunk)s"
        " ON CONFLICT (chunk) DO UPDATE SET compressed_at = EXCLUDED.compressed_at,"
        " late_rows = known.late_rows + EXCLUDED.late_rows,"
        " bytes_before = EXCLUDED.bytes_before, bytes_after = EXCLUDED.bytes_after",
        {"chunk": chunk.name, "starts": chunk.starts, "ends": chunk.ends, "now": now, "late": late_rows},
    )


def totals(conn: Connection) -> ColumnstoreTotals:
    """Return the sums over all chunks that were ever compressed and still exist."""
    row = conn.execute(
        "SELECT count(*), coalesce(sum(late_rows), 0)::bigint, coalesce(sum(bytes_before), 0)::bigint,"
        " coalesce(sum(bytes_after), 0)::bigint FROM telemetry_columnstore"
    ).fetchone()
    return ColumnstoreTotals(*row) if row else ColumnstoreTotals(0, 0, 0, 0)


def chunk_interval(conn: Connection) -> timedelta | None:
    """Return the length of the chunks that will be made."""
    row = conn.execute(
        "SELECT time_interval FROM timescaledb_information.dimensions"
        " WHERE hypertable_schema = current_schema AND hypertable_name = 'telemetry'"
    ).fetchone()
    return row[0] if row else None


def set_chunk_interval(conn: Connection, interval: timedelta) -> None:
    """Set the length of chunks to come; those that exist stay as they are."""
    conn.execute("SELECT set_chunk_time_interval('telemetry', %s::interval)", (interval,))


def forget_chunks_before(conn: Connection, moment: datetime) -> None:
    """Take chunks that were dropped out of the record."""
    conn.execute("DELETE FROM telemetry_columnstore WHERE ends <= %s", (moment,))
