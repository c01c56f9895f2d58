"""Whether this database has TimescaleDB, and which one (decision 16)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from core.errors import Misconfigured

if TYPE_CHECKING:
    from core.db.pool import Connection

MINIMUM = (2, 18, 1)
"""Below it ON CONFLICT DO NOTHING into a compressed chunk lost rows (timescale/timescaledb #7672)."""


@dataclass(frozen=True, slots=True)
class StorageMode:
    """``timescaledb`` is the extension's version, or None on plain PostgreSQL."""

    postgresql: str
    timescaledb: str | None

    @property
    def name(self) -> str:
        """Return ``timescaledb`` or ``plain``, the words of the migration headers."""
        return "timescaledb" if self.timescaledb else "plain"


def detect(conn: Connection, *, install: bool = False) -> StorageMode:
    """Say what the database is; with ``install`` create the extension where the server offers it.

    Raises:
        Misconfigured: TimescaleDB is older than 2.18.1.
    """
    server = conn.execute("SHOW server_version").fetchone()
    if install:
        preloaded = conn.execute("SELECT current_setting('shared_preload_libraries', true)").fetchone()
        if preloaded and preloaded[0] and "timescaledb" in preloaded[0]:
            conn.execute("CREATE EXTENSION IF NOT EXISTS timescaledb")
    row = conn.execute("SELECT extversion FROM pg_extension WHERE extname = 'timescaledb'").fetchone()
    version: str | None = row[0] if row else None
    if version and tuple(int(part) for part in version.split("-")[0].split(".")) < MINIMUM:
        raise Misconfigured(
            f"Expected TimescaleDB {'.'.join(map(str, MINIMUM))} or newer, was {version}: "
            "older versions lose rows on conflicts in compressed chunks",
            code="timescaledb_too_old",
        )
    return StorageMode(postgresql=server[0] if server else "?", timescaledb=version)
