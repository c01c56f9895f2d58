"""Connections. Every session runs in UTC and names itself, so that operators can tell who is who."""

from __future__ import annotations

import psycopg
from psycopg.rows import TupleRow
from psycopg_pool import ConnectionPool

Connection = psycopg.Connection[TupleRow]

CONNECT_TIMEOUT_S = 5
"""A database that does not answer the handshake within this is treated as down, and retried."""


def _options(name: str, statement_timeout_ms: int) -> dict[str, str | int]:
    return {
        "application_name": f"pledgewatch-{name}",
        "connect_timeout": CONNECT_TIMEOUT_S,
        # A database that vanishes without a word (cut cable, lost host) is noticed within half a minute.
        "keepalives_idle": 10,
        "keepalives_interval": 5,
        "keepalives_count": 3,
        "tcp_user_timeout": 25_000,
        "options": f"-c timezone=UTC -c statement_timeout={statement_timeout_ms}",
    }


def connect(
    database_url: str, *, name: str, autocommit: bool = False, statement_timeout_ms: int = 0
) -> Connection:
    """Open one connection; the caller closes it.

    Raises:
        psycopg.OperationalError: the database cannot be reached.
    """
    return psycopg.connect(database_url, autocommit=autocommit, **_options(name, statement_timeout_ms))  # type: ignore[arg-type]


def open_pool(
    database_url: str, *, name: str, max_size: int = 8, statement_timeout_ms: int = 30_000
) -> ConnectionPool[Connection]:
    """Open a pool; the caller closes it. Each ``with pool.connection()`` block is one transaction."""
    return ConnectionPool(
        database_url,
        min_size=1,
        max_size=max_size,
        kwargs=_options(name, statement_timeout_ms),
        name=name,
        check=ConnectionPool.check_connection,
        open=True,
    )
