"""The signs of life that health and metrics show."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from api.board.counts import store
from core.db.migrate import MIGRATIONS
from core.db.timescale import detect
from core.telemetry.gaps import store as gaps
from ingest.slots import health
from ingest.slots import store as slots

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
    slots: list[health.SlotHealth]


def look(conn: Connection, ingest_slots: int) -> Vitals:
    """Ask the database; ``ingest_slots`` holds until an ingest process has said how many there are."""
    mode = detect(conn)
    missing: list[str] = sorted(
        {path.name for path in MIGRATIONS.glob("*.sql")} - store.applied_migrations(conn)
    )
    received_until, moved_at = store.watermark(conn) if not missing else (None, None)
    verdicts = [] if missing else health.judge(slots.slot_rows(conn), slots.layout(conn) or ingest_slots)
    return Vitals(mode.postgresql, mode.name, missing, received_until, moved_at, verdicts)


def count(conn: Connection) -> store.Figures:
    """Count what metrics show."""
    return store.figures(conn)


def slot_rows(conn: Connection) -> list[health.SlotRow]:
    """Return the figures of every slot."""
    return slots.slot_rows(conn)


def open_gaps(conn: Connection) -> tuple[int, int, int, int]:
    """Return open gaps, the devices they are of, reports missing, and gaps overdue."""
    return gaps.totals(conn)
