"""SQL of where each vendor cloud was left."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from core.db.pool import Connection

LONGEST_REST_MINUTES = 30


def cursor_of(conn: Connection, source: str) -> str | None:
    """Return the cursor to send next; None when nothing was ever pulled."""
    row = conn.execute("SELECT cursor FROM vendor_source WHERE source = %s", (source,)).fetchone()
    return row[0] if row else None


def record_success(conn: Connection, source: str, cursor: str | None, items: int) -> None:
    """Remember that ``items`` were acknowledged by the broker; a cursor of None keeps the one before."""
    conn.execute(
        "INSERT INTO vendor_source AS kept (source, cursor, items, last_success_at)"
        " VALUES (%s, %s, %s, clock_timestamp())"
        " ON CONFLICT (source) DO UPDATE SET cursor = coalesce(EXCLUDED.cursor, kept.cursor),"
        " items = kept.items + EXCLUDED.items, last_success_at = clock_timestamp(),"
        " last_attempt_at = clock_timestamp(), failures = 0, last_code = '', last_error = ''",
        (source, cursor, items),
    )


def record_failure(conn: Connection, source: str, *, code: str, message: str) -> None:
    """Remember a pull or push that ended badly; the cursor stays where it was."""
    conn.execute(
        "INSERT INTO vendor_source AS kept (source, failures, last_code, last_error) VALUES (%s, 1, %s, %s)"
        " ON CONFLICT (source) DO UPDATE SET failures = kept.failures + 1,"
        " last_attempt_at = clock_timestamp(), last_code = EXCLUDED.last_code,"
        " last_error = EXCLUDED.last_error",
        (source, code, message[:500].replace("\x00", "\ufffd")),  # it quotes what the vendor sent
    )


def is_resting(conn: Connection, source: str) -> bool:
    """Return whether a source that failed is left alone: 1, 2, 4, … minutes after each failure in a row."""
    row = conn.execute(
        "SELECT failures > 0 AND last_attempt_at"
        " + make_interval(mins => least(2 ^ (least(failures, 20) - 1), %s)::int) > clock_timestamp()"
        " FROM vendor_source WHERE source = %s",
        (LONGEST_REST_MINUTES, source),
    ).fetchone()
    return bool(row and row[0])
