"""The few statements the embedded stack says to a PostgreSQL server.

CREATE and DROP DATABASE refuse to run inside a transaction, so these connections are autocommit.
"""

from __future__ import annotations

from typing import Any

import psycopg
from psycopg import sql

Connection = psycopg.Connection[Any]


def server_version(connection: Connection) -> str:
    """Return the version text of the server."""
    return connection.info.parameter_status("server_version") or "unknown"


def database_exists(connection: Connection, name: str) -> bool:
    """Tell whether a database of that name exists."""
    return connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", (name,)).fetchone() is not None


def create_database(connection: Connection, name: str, template: str | None = None) -> None:
    """Create a database, optionally as a copy.

    Copying files takes a tenth of the time of writing each page to the log (PostgreSQL 15 and newer).
    """
    statement = sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name))
    if template is not None:
        statement += sql.SQL(" TEMPLATE {} STRATEGY FILE_COPY").format(sql.Identifier(template))
    connection.execute(statement)


def drop_database(connection: Connection, name: str) -> None:
    """Drop a database and whoever is connected to it."""
    connection.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))


def extension_versions(connection: Connection, name: str) -> tuple[str | None, str | None] | None:
    """Return (installed, available) versions of an extension, None when the server does not know it."""
    row = connection.execute(
        "SELECT installed_version, default_version FROM pg_available_extensions WHERE name = %s", (name,)
    ).fetchone()
    return None if row is None else (row[0], row[1])
