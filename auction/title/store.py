"""SQL of title steps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from typing import TYPE_CHECKING
from uuid import UUID

from psycopg.rows import class_row

if TYPE_CHECKING:
    from core.db.pool import Connection


@dataclass(frozen=True, slots=True)
class TitleStep:
    """One line of the checklist."""

    settlement_id: UUID
    step: str
    position: int
    state: str
    evidence: str
    actor: str | None
    at: datetime | None


_COLUMNS = ", ".join(column.name for column in fields(TitleStep))


def insert_steps(conn: Connection, settlement_id: UUID, steps: Sequence[str]) -> None:
    """Write an empty checklist; a step that is there stays."""
    conn.execute(
        "INSERT INTO title_step (settlement_id, step, position)"
        " SELECT %s, step, position FROM unnest(%s::text[]) WITH ORDINALITY AS s(step, position)"
        " ON CONFLICT DO NOTHING",
        (settlement_id, list(steps)),
    )


def steps_of(conn: Connection, settlement_id: UUID) -> list[TitleStep]:
    """Return the checklist in order."""
    with conn.cursor(row_factory=class_row(TitleStep)) as cursor:
        return cursor.execute(
            f"SELECT {_COLUMNS} FROM title_step WHERE settlement_id = %s ORDER BY position", (settlement_id,)
        ).fetchall()


def set_step(conn: Connection, settlement_id: UUID, step: str, state: str, evidence: str, actor: str) -> None:
    """Write a step's state with its evidence, database time."""
    conn.execute(
        "UPDATE title_step SET state = %s, evidence = %s, actor = %s, at = clock_timestamp()"
        " WHERE settlement_id = %s AND step = %s",
        (state, evidence, actor, settlement_id, step),
    )
