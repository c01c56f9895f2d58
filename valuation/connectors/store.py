"""SQL of where each source was left."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import datetime

    from core.db.pool import Connection

LONGEST_BACKOFF_MINUTES = 6 * 60


@dataclass(frozen=True, slots=True)
class SourceState:
    """What the source said to send back, and how the last attempt ended (``last_code`` empty: well)."""

    source: str
    etag: str | None
    last_modified: str | None
    payload_sha256: bytes | None
    last_success_at: datetime | None
    last_attempt_at: datetime
    failures: int
    last_code: str
    last_error: str


_COLUMNS = (
    "source, etag, last_modified, payload_sha256, last_success_at, last_attempt_at, failures, last_code,"
    " last_error"
)


def get_state(conn: Connection, source: str) -> SourceState | None:
    """Return where a source was left; None when it was never asked."""
    row = conn.execute(f"SELECT {_COLUMNS} FROM market_source_state WHERE source = %s", (source,)).fetchone()
    return SourceState(*row) if row else None


def record_success(
    conn: Connection,
    source: str,
    *,
    etag: str | None,
    last_modified: str | None,
    payload_sha256: bytes | None,
) -> None:
    """Remember a pull that ended well; a payload of None keeps the one before (nothing had changed)."""
    conn.execute(
        "INSERT INTO market_source_state (source, etag, last_modified, payload_sha256, last_success_at)"
        " VALUES (%s, %s, %s, %s, clock_timestamp())"
        " ON CONFLICT (source) DO UPDATE SET etag = EXCLUDED.etag, last_modified = EXCLUDED.last_modified,"
        " payload_sha256 = coalesce(EXCLUDED.payload_sha256, market_source_state.payload_sha256),"
        " last_success_at = clock_timestamp(), last_attempt_at = clock_timestamp(), failures = 0,"
        " last_code = '', last_error = ''",
        (source, etag, last_modified, payload_sha256),
    )


def record_failure(conn: Connection, source: str, *, code: str, message: str) -> None:
    """Remember a pull that ended badly; what the last good one left stays."""
    conn.execute(
        "INSERT INTO market_source_state (source, failures, last_code, last_error) VALUES (%s, 1, %s, %s)"
        " ON CONFLICT (source) DO UPDATE SET failures = market_source_state.failures + 1,"
        " last_attempt_at = clock_timestamp(), last_code = EXCLUDED.last_code,"
        " last_error = EXCLUDED.last_error",
        (source, code, message),
    )


def is_resting(conn: Connection, source: str) -> bool:
    """Return whether a source that failed is left alone: 1, 2, 4, … minutes after each failure in a row."""
    row = conn.execute(
        "SELECT failures > 0 AND last_attempt_at"
        " + make_interval(mins => least(2 ^ (least(failures, 20) - 1), %s)::int) > clock_timestamp()"
        " FROM market_source_state WHERE source = %s",
        (LONGEST_BACKOFF_MINUTES, source),
    ).fetchone()
    return bool(row and row[0])
