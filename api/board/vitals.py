"""The signs of life that health and metrics show."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from api.board.counts import store
from core.db.migrate import MIGRATIONS
from core.db.timescale import detect

if TYPE_CHECKING:
    from core.db.pool import Connection


@dataclass(frozen=True, slots=True)
class Vitals:
    """Readiness: the database's kind, what is not migrated, how far storage has come."""

    postgresql: str
    storage_mode: str
    migrations_missing: list[str]
    received_until: datetime | None
    watermark_moved_at: datetime | None


def look(conn: Connection) -> Vitals:
    """Ask the database."""
    mode = detect(conn)
    missing: list[str] = sorted(
        {path.name for path in MIGRATIONS.glob("*.sql")} - store.applied_migrations(conn)
    )
    received_until, moved_at = store.watermark(conn) if not missing else (None, None)
    return Vitals(mode.postgresql, mode.name, missing, received_until, moved_at)


def count(conn: Connection) -> store.Figures:
    """Count what metrics show."""
    return store.figures(conn)
