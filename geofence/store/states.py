"""SQL of vehicle states and their checkpoints."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from core.clock import from_ms, to_ms
from core.db.arrays import bigint_array, bytea_array, moment_array, text_array
from geofence.domain import BEGINNING_MS

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

    from core.db.pool import Connection


@dataclass(frozen=True, slots=True)
class StoredState:
    """A row of vehicle_state: the state, its version, the event time of the newest input in it."""

    version: int
    state: bytes
    through_ms: int


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A state as of one moment of event time."""

    vehicle_id: str
    through_ms: int
    state: bytes


def lock(conn: Connection, vehicle_ids: Sequence[str]) -> dict[str, int]:
    """Lock the states that exist, in id order, and return their versions."""
    rows = conn.execute(
        "SELECT vehicle_id, state_version FROM vehicle_state WHERE vehicle_id = ANY(%b)"
        " ORDER BY vehicle_id FOR UPDATE",
        (text_array(list(vehicle_ids)),),
    ).fetchall()
    return dict(rows)


def take(conn: Connection, throughs: Mapping[str, int]) -> dict[str, int]:
    """Lock the states that exist, raise their versions, and return the new ones.

    ``throughs`` (vehicle -> event time, ms) in id order: up to when each will have seen its inputs.
    """
    rows = conn.execute(
        "SELECT * FROM take_vehicle_states(%b::text[], %b::timestamptz[])",
        (text_array(list(throughs)), moment_array(list(throughs.values()))),
    ).fetchall()
    return dict(rows)


def lock_free(conn: Connection, vehicle_ids: Sequence[str]) -> dict[str, int]:
    """Lock those states that nobody else holds just now, and return their versions."""
    rows = conn.execute(
        "SELECT vehicle_id, state_version FROM vehicle_state WHERE vehicle_id = ANY(%b)"
        " ORDER BY vehicle_id FOR UPDATE SKIP LOCKED",
        (text_array(list(vehicle_ids)),),
    ).fetchall()
    return dict(rows)


def missing(conn: Connection, vehicle_ids: Collection[str]) -> set[str]:
    """Return which vehicles have no state yet."""
    rows = conn.execute(
        "SELECT vehicle_id FROM vehicle_state WHERE vehicle_id = ANY(%b)", (text_array(list(vehicle_ids)),)
    ).fetchall()
    return set(vehicle_ids) - {row[0] for row in rows}


def create_and_lock(conn: Connection, first_states: Mapping[str, bytes]) -> dict[str, int]:
    """Create what is missing and lock everything, in one pass in id order; returns the versions.

    Creating first and locking then would take the locks in two orders, and two batches with new
    vehicles could wait for each other.
    """
    rows = conn.execute(
        "INSERT INTO vehicle_state AS s (vehicle_id, state, through)"
        " SELECT id, state, '-infinity' FROM unnest(%b::text[], %b::bytea[]) AS v(id, state) ORDER BY id"
        " ON CONFLICT (vehicle_id) DO UPDATE SET state_version = s.state_version"
        " RETURNING vehicle_id, state_version",
        (text_array(list(first_states)), bytea_array(list(first_states.values()))),
    ).fetchall()
    return dict(rows)


def load(conn: Connection, vehicle_ids: Collection[str]) -> dict[str, bytes]:
    """Return the stored states (lock them first, or they may be old at once)."""
    if not vehicle_ids:
        return {}
    rows = (
        conn.cursor(binary=True)
        .execute(
            "SELECT vehicle_id, state FROM vehicle_state WHERE vehicle_id = ANY(%b)",
            (text_array(list(vehicle_ids)),),
        )
        .fetchall()
    )
    return {row[0]: bytes(row[1]) for row in rows}


def save(conn: Connection, rows: Mapping[str, StoredState]) -> None:
    """Write states whose rows the caller has locked."""
    if not rows:
        return
    conn.execute(
        "UPDATE vehicle_state AS s SET state = v.state, state_version = v.version, through = v.through,"
        " updated_at = clock_timestamp()"
        " FROM unnest(%b::text[], %b::bytea[], %b::bigint[], %b::timestamptz[])"
        " AS v(id, state, version, through) WHERE s.vehicle_id = v.id",
        (
            text_array(list(rows)),
            bytea_array([row.state for row in rows.values()]),
            bigint_array([row.version for row in rows.values()]),
            moment_array([row.through_ms for row in rows.values()]),
        ),
    )


def add_checkpoints(conn: Connection, checkpoints: Iterable[Checkpoint]) -> None:
    """Keep checkpoints; a second one of the same moment replaces the first."""
    newest = {(point.vehicle_id, point.through_ms): point for point in checkpoints}
    if not newest:
        return
    conn.execute(
        "INSERT INTO vehicle_checkpoint (vehicle_id, through, state)"
        " SELECT * FROM unnest(%b::text[], %b::timestamptz[], %b::bytea[])"
        " ON CONFLICT (vehicle_id, through) DO UPDATE SET state = EXCLUDED.state",
        (
            text_array([point.vehicle_id for point in newest.values()]),
            moment_array([point.through_ms for point in newest.values()]),
            bytea_array([point.state for point in newest.values()]),
        ),
    )


def checkpoint_before(conn: Connection, vehicle_id: str, moment_ms: int) -> Checkpoint | None:
    """Return the newest checkpoint that has seen nothing from ``moment_ms`` on."""
    row = conn.execute(
        "SELECT through, state FROM vehicle_checkpoint"
        " WHERE vehicle_id = %s AND through < %s ORDER BY through DESC LIMIT 1",
        (vehicle_id, from_ms(max(moment_ms, BEGINNING_MS))),
    ).fetchone()
    return None if row is None else Checkpoint(vehicle_id, to_ms(row[0]), bytes(row[1]))


def drop_checkpoints(conn: Connection, vehicle_id: str, from_moment_ms: int) -> None:
    """Forget the checkpoints at or after a moment: they lack what came late."""
    conn.execute(
        "DELETE FROM vehicle_checkpoint WHERE vehicle_id = %s AND through >= %s",
        (vehicle_id, from_ms(max(from_moment_ms, BEGINNING_MS))),
    )


def thin_checkpoints(conn: Connection, dense_from_ms: int, daily_from_ms: int) -> int:
    """Keep one checkpoint a UTC day before ``dense_from_ms``, none before ``daily_from_ms``."""
    return conn.execute(
        "DELETE FROM vehicle_checkpoint AS c USING ("
        "  SELECT vehicle_id, through, row_number() OVER ("
        "    PARTITION BY vehicle_id, date_trunc('day', through) ORDER BY through) AS place"
        "  FROM vehicle_checkpoint WHERE through < %s"
        ") AS old WHERE c.vehicle_id = old.vehicle_id AND c.through = old.through"
        " AND (old.place > 1 OR c.through < %s)",
        (from_ms(dense_from_ms), from_ms(daily_from_ms)),
    ).rowcount
