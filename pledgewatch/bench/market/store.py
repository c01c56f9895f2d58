"""SQL of the naive peer: a row at a time, each committed, as first versions do."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from core.db.pool import Connection

_COLUMNS = {
    "vin": "text UNIQUE", "make": "text", "model": "text", "body": "text", "fuel": "text",
    "transmission": "text", "model_year": "integer", "first_registration": "date",
    "odometer_km": "double precision", "condition": "double precision", "colour": "text", "region": "text",
    "new_price": "bigint", "price": "bigint", "currency": "text", "channel": "text", "observed_at": "date",
    "source": "text",
}  # fmt: skip


def make_peer_table(conn: Connection) -> None:
    """Make the peer's table anew."""
    conn.execute("DROP TABLE IF EXISTS bench_sale")
    conn.execute(f"CREATE TABLE bench_sale ({', '.join(f'{n} {k}' for n, k in _COLUMNS.items())})".encode())


def insert_one_by_one(conn: Connection, rows: Sequence[Mapping[str, Any]]) -> None:
    """Look whether a sale is known, insert it, commit; again for the next."""
    statement = (
        f"INSERT INTO bench_sale ({', '.join(_COLUMNS)}) VALUES ({', '.join(f'%({n})s' for n in _COLUMNS)})"
    ).encode()
    for row in rows:
        if conn.execute("SELECT 1 FROM bench_sale WHERE vin = %(vin)s", row).fetchone() is None:
            conn.execute(statement, row)
