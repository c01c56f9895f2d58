"""SQL of lots."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

from psycopg.types.json import Jsonb

from auction.domain import Lot, Step
from core.errors import NotFound

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime
    from uuid import UUID

    from core.db.pool import Connection

_NAMES = tuple(field.name for field in fields(Lot))
_COLUMNS = ", ".join(_NAMES)
_STEPS_AT = _NAMES.index("steps")


def _lot(row: Sequence[Any]) -> Lot:
    values = list(row)
    values[_STEPS_AT] = tuple(Step(step["from_minor"], step["step_minor"]) for step in values[_STEPS_AT])
    return Lot(*values)


def steps_json(steps: Sequence[Step]) -> Jsonb:
    """Return an increment table as the column keeps it."""
    return Jsonb([{"from_minor": step.from_minor, "step_minor": step.step_minor} for step in steps])


def database_now(conn: Connection) -> datetime:
    """Return the only time that auctions know."""
    row = conn.execute("SELECT clock_timestamp()").fetchone()
    assert row is not None  # noqa: S101 - a SELECT without FROM has one row
    now: datetime = row[0]
    return now


def get_lot(conn: Connection, lot_id: UUID, *, lock: bool = False) -> Lot:
    """Return a lot; with ``lock`` hold its row.

    Raises:
        NotFound: there is none with this id (``lot_not_found``).
    """
    row = conn.execute(
        f"SELECT {_COLUMNS} FROM lot WHERE lot_id = %s {'FOR NO KEY UPDATE' if lock else ''}", (lot_id,)
    ).fetchone()
    if row is None:
        raise NotFound(f"Expected a lot, there is none with id {lot_id}", code="lot_not_found")
    return _lot(row)


def list_lots(
    conn: Connection,
    *,
    org_ids: Sequence[str] | None = None,
    states: Sequence[str] | None = None,
    after: tuple[datetime, UUID] | None = None,
    limit: int = 100,
) -> list[Lot]:
    """Return lots by (starts_at, lot_id); ``after`` is that pair of the last lot of the page before."""
    rows = conn.execute(
        f"SELECT {_COLUMNS} FROM lot WHERE (%(orgs)s::text[] IS NULL OR org_id = ANY(%(orgs)s))"
        " AND (%(states)s::text[] IS NULL OR state = ANY(%(states)s))"
        " AND (%(after_at)s::timestamptz IS NULL"
        "      OR (starts_at, lot_id) > (%(after_at)s::timestamptz, %(after_id)s::uuid))"
        " ORDER BY starts_at, lot_id LIMIT %(limit)s",
        {
            "orgs": None if org_ids is None else list(org_ids),
            "states": None if states is None else list(states),
            "after_at": after[0] if after else None,
            "after_id": after[1] if after else None,
            "limit": limit,
        },
    ).fetchall()
    return [_lot(row) for row in rows]


def lots_of_case(conn: Connection, case_id: UUID, *, lock: bool = False) -> list[Lot]:
    """Return the lots of a disposal case, oldest round first; with ``lock`` hold their rows."""
    rows = conn.execute(
        f"SELECT {_COLUMNS} FROM lot WHERE case_id = %s ORDER BY round_no, attempt"
        f" {'FOR NO KEY UPDATE' if lock else ''}",
        (case_id,),
    ).fetchall()
    return [_lot(row) for row in rows]


def insert_lot(conn: Connection, values: Mapping[str, Any]) -> Lot:
    """Write a new lot from column values; ``attempt`` counts up within (case, round)."""
    names = [*values, "attempt"]
    marks = [f"%({name})s" for name in values]
    marks.append(
        "(SELECT coalesce(max(attempt), 0) + 1 FROM lot"
        " WHERE case_id = %(case_id)s AND round_no = %(round_no)s)"
    )
    row = conn.execute(
        f"INSERT INTO lot ({', '.join(names)}) VALUES ({', '.join(marks)}) RETURNING {_COLUMNS}", dict(values)
    ).fetchone()
    assert row is not None  # noqa: S101 - RETURNING of an insert always has a row
    return _lot(row)


def update_lot(conn: Connection, lot_id: UUID, changes: Mapping[str, Any]) -> Lot:
    """Write these columns of a lot whose row the caller holds; the version goes up."""
    assignments = ", ".join(f"{name} = %({name})s" for name in changes)
    row = conn.execute(
        f"UPDATE lot SET {assignments}, version = version + 1, updated_at = clock_timestamp()"
        f" WHERE lot_id = %(lot_id)s RETURNING {_COLUMNS}",
        {**changes, "lot_id": lot_id},
    ).fetchone()
    assert row is not None  # noqa: S101 - the caller holds the row
    return _lot(row)


def arm_timer(conn: Connection, lot_id: UUID, at: datetime | None, kind: str | None) -> None:
    """Set what the sweeper does next with a lot, and when (both None: nothing)."""
    conn.execute(
        "UPDATE lot SET next_timer_at = %s, timer_kind = %s, updated_at = clock_timestamp()"
        " WHERE lot_id = %s",
        (at, kind, lot_id),
    )


@dataclass(frozen=True, slots=True)
class LostTime:
    """Outages near the end of a lot that it has not been given back."""

    total_ms: int
    newest_id: int


def outage_near_end(conn: Connection, lot: Lot) -> LostTime | None:
    """Return what outages took of the last stretch of a lot, whole outages, as nobody could bid in them."""
    row = conn.execute(
        "SELECT sum((extract(epoch FROM ended_at - began_at) * 1000)::bigint)::bigint, max(outage_id)"
        " FROM auction_outage WHERE outage_id > %s AND began_at < %s"
        " AND ended_at > %s::timestamptz - %s * interval '1 millisecond'",
        (lot.outage_id, lot.ends_at, lot.ends_at, lot.outage_guard_ms),
    ).fetchone()
    return LostTime(*row) if row and row[1] is not None else None


def forget_outages(conn: Connection, lot_id: UUID) -> None:
    """Count only outages from now on for a lot."""
    conn.execute(
        "UPDATE lot SET outage_id = (SELECT coalesce(max(outage_id), 0) FROM auction_outage)"
        " WHERE lot_id = %s",
        (lot_id,),
    )
