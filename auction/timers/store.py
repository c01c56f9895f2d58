"""SQL of timers, fences and signs of life."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from uuid import UUID

    from core.db.pool import Connection

CLAIMS = 7011
"""Advisory lock namespace: which sweeper works on which lot."""
OUTAGE_AFTER_MS = 30_000
"""A silence of sweeper and API longer than this is an outage; restarts are shorter."""


@dataclass(frozen=True, slots=True)
class DueTimer:
    """A lot whose time has come, as it was when it was looked for."""

    lot_id: UUID
    kind: Literal["start", "end", "pay_by"]
    epoch: int


@dataclass(frozen=True, slots=True)
class Durability:
    """What the server promises about a committed bid."""

    fsync: str
    synchronous_commit: str
    full_page_writes: str

    @property
    def kept(self) -> bool:
        """Return whether a committed bid survives the crash of the machine."""
        return self.fsync == "on" and self.synchronous_commit != "off" and self.full_page_writes == "on"


def limit_lock_waits(conn: Connection, wait_ms: int = 2_000) -> None:
    """Let one lot that somebody holds on to keep the others waiting for so long at most."""
    conn.execute("SELECT set_config('lock_timeout', %s, false)", (str(wait_ms),))


def due_timers(conn: Connection, limit: int, *, opening: bool = True) -> list[DueTimer]:
    """Return what is due, the longest due first; without ``opening`` no starts."""
    rows = conn.execute(
        "SELECT lot_id, timer_kind, epoch FROM lot WHERE next_timer_at <= clock_timestamp()"
        " AND (%s OR timer_kind <> 'start') ORDER BY next_timer_at LIMIT %s",
        (opening, limit),
    ).fetchall()
    return [DueTimer(*row) for row in rows]


def claim(conn: Connection, lot_id: UUID) -> bool:
    """Take a lot for this sweeper until the transaction ends; false when another one works on it.

    An advisory lock and not SKIP LOCKED on the row: the rows of hot lots are always locked by some bid,
    and a closer that skips them would never close them.
    """
    row = conn.execute("SELECT pg_try_advisory_xact_lock(%s, hashtext(%s))", (CLAIMS, str(lot_id))).fetchone()
    return bool(row and row[0])


def take_close_fence(conn: Connection, lot_id: UUID) -> None:
    """Wait for every bid that is under way; bids that come now wait for us."""
    conn.execute("SELECT auction_close_fence(%s)", (lot_id,))


def is_past_drain(conn: Connection, lot_id: UUID) -> bool:
    """Return whether bidding ended and the drain has passed, seen without a lock."""
    row = conn.execute(
        "SELECT clock_timestamp() >= ends_at + drain_ms * interval '1 millisecond'"
        " FROM lot WHERE lot_id = %s",
        (lot_id,),
    ).fetchone()
    return bool(row and row[0])


def call_decide(conn: Connection, lot_id: UUID, epoch: int) -> str:
    """Let the hammer fall: ``hammered``, ``unsold``, ``rearmed`` or ``stale``."""
    row = conn.execute("SELECT auction_decide(%s, %s)", (lot_id, epoch)).fetchone()
    assert row is not None  # noqa: S101 - a scalar function always answers
    outcome: str = row[0]
    return outcome


def rearm_end(conn: Connection, lot_id: UUID) -> None:
    """Set the end timer to what the row says now."""
    conn.execute(
        "UPDATE lot SET next_timer_at = ends_at + drain_ms * interval '1 millisecond', timer_kind = 'end'"
        " WHERE lot_id = %s AND state = 'open'",
        (lot_id,),
    )


def postpone(conn: Connection, due: DueTimer, by_ms: int) -> None:
    """Try a timer that failed again later, unless the lot has moved on or is held by somebody."""
    conn.execute(
        "UPDATE lot SET next_timer_at = clock_timestamp() + %s * interval '1 millisecond'"
        " WHERE lot_id IN (SELECT lot_id FROM lot WHERE lot_id = %s AND epoch = %s AND timer_kind = %s"
        " FOR NO KEY UPDATE SKIP LOCKED)",
        (by_ms, due.lot_id, due.epoch, due.kind),
    )


def beat(conn: Connection, role: Literal["sweeper", "api"], outage_after_ms: int = OUTAGE_AFTER_MS) -> None:
    """Give a sign of life; if nobody gave one for too long, write down the outage that ends now.

    In a transaction of its own or autocommit: it holds the rows of all roles for a moment.
    """
    conn.execute("SELECT auction_beat(%s, %s)", (role, outage_after_ms))


def lots_owed_time(conn: Connection) -> list[UUID]:
    """Return open lots near whose end an outage was, that they have not been given back."""
    rows = conn.execute(
        "SELECT DISTINCT l.lot_id FROM lot l JOIN auction_outage o ON o.outage_id > l.outage_id"
        " AND o.began_at < l.ends_at"
        " AND o.ended_at > l.ends_at - l.outage_guard_ms * interval '1 millisecond'"
        " WHERE l.state = 'open' AND l.next_timer_at IS NOT NULL"
    ).fetchall()
    return [row[0] for row in rows]


def durability(conn: Connection) -> Durability:
    """Ask the server what it promises."""
    row = conn.execute(
        "SELECT current_setting('fsync'), current_setting('synchronous_commit'),"
        " current_setting('full_page_writes')"
    ).fetchone()
    assert row is not None  # noqa: S101 - a SELECT without FROM has one row
    return Durability(*row)
