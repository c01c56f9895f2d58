"""SQL of jt808_terminal."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from core.db.pool import Connection


@dataclass(frozen=True, slots=True)
class Terminal:
    """An enrolled terminal and the device it speaks for."""

    number: str
    device_id: str
    shard: int
    dialect: str | None = None
    model: str | None = None
    reported_model: str | None = None
    code_hash: str | None = None
    manufacturer: str | None = None
    terminal_id: str | None = None
    open_registration: bool = True
    revoked: bool = False


_SELECT = """
SELECT t.terminal_no, t.device_id, d.shard, t.dialect, d.model, t.reported_model, t.code_hash,
       t.manufacturer, t.terminal_id, t.open_registration, d.revoked_at IS NOT NULL
FROM jt808_terminal t JOIN device d USING (device_id)
"""


def versions(conn: Connection) -> tuple[int, ...]:
    """Return the numbers that change whenever a terminal or device does."""
    rows = conn.execute(
        "SELECT version FROM revision WHERE name IN ('bindings', 'jt808_terminals') ORDER BY name"
    ).fetchall()
    return tuple(row[0] for row in rows)


def terminals(conn: Connection) -> list[Terminal]:
    """Return every enrolled terminal, by number."""
    return [Terminal(*row) for row in conn.execute(_SELECT + " ORDER BY t.terminal_no").fetchall()]


def enrol(
    conn: Connection,
    number: str,
    device_id: str,
    *,
    dialect: str | None,
    code_hash: str | None,
) -> None:
    """Let a terminal speak for a device; what an earlier one registered is forgotten.

    With a code, registration over the network is closed.
    """
    conn.execute("DELETE FROM jt808_terminal WHERE terminal_no = %s OR device_id = %s", (number, device_id))
    conn.execute(
        "INSERT INTO jt808_terminal (terminal_no, device_id, dialect, code_hash, open_registration)"
        " VALUES (%s, %s, %s, %s, %s)",
        (number, device_id, dialect, code_hash, code_hash is None),
    )


def remove(conn: Connection, number: str) -> bool:
    """Forget a terminal; false when there was none."""
    return conn.execute("DELETE FROM jt808_terminal WHERE terminal_no = %s", (number,)).rowcount == 1


def register(
    conn: Connection, number: str, *, code_hash: str, manufacturer: str, terminal_id: str, model: str
) -> bool:
    """Give a terminal its code, unless another device has taken the number; false then.

    The first registration pins who it is; asked of the row, so that two gateways agree.
    """
    done = conn.execute(
        "UPDATE jt808_terminal SET code_hash = %(code_hash)s, manufacturer = %(manufacturer)s,"
        " terminal_id = %(terminal_id)s, reported_model = %(model)s, registered_at = now()"
        " WHERE terminal_no = %(number)s AND open_registration"
        " AND (terminal_id IS NULL OR (manufacturer, terminal_id) = (%(manufacturer)s, %(terminal_id)s))",
        {
            "number": number,
            "code_hash": code_hash,
            "manufacturer": manufacturer,
            "terminal_id": terminal_id,
            "model": model,
        },
    )
    return done.rowcount == 1


def unregister(conn: Connection, number: str) -> None:
    """Take a terminal's code away; a code set by hand stays."""
    conn.execute(
        "UPDATE jt808_terminal SET code_hash = NULL WHERE terminal_no = %s AND open_registration", (number,)
    )
