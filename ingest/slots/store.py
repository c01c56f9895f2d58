"""SQL of slot leases. All times are the database's."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from psycopg.rows import class_row

from ingest.slots.health import SlotRow
from ingest.slots.lease import LEASE_S, Lease

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from core.db.pool import Connection


class SlotFigures(NamedTuple):
    """What a worker reports about its slot with every renewal: columns of ingest_slot."""

    oldest_unacked_s: float = 0.0
    window_used: int = 0
    connections: int = 0
    rejects: int = 0
    retries: int = 0
    connected: bool = False
    lag_s: float = 0.0
    broker_drops: int = 0
    batches: int = 0
    reports: int = 0
    batch_reports: float = 0.0
    commit_s: float = 0.0


_FIGURES = ", ".join(f"{name} = %s" for name in SlotFigures._fields)


def owners(conn: Connection) -> list[str]:
    """Return who is written down as a worker, or as holding a slot."""
    return [
        owner
        for (owner,) in conn.execute(
            "SELECT owner FROM ingest_slot WHERE owner IS NOT NULL UNION SELECT owner FROM ingest_worker"
        ).fetchall()
    ]


def lease_free_slot(conn: Connection, slots: int, owner: str, dead: Sequence[str] = ()) -> Lease | None:
    """Take the lowest slot that nobody holds, or a dead process holds; None when all are held."""
    conn.execute(
        "INSERT INTO ingest_slot (slot) SELECT generate_series(0, %s) ON CONFLICT DO NOTHING", (slots - 1,)
    )
    row = conn.execute(
        "UPDATE ingest_slot AS mine SET epoch = mine.epoch + 1, owner = %s, connected = false,"
        " leased_until = clock_timestamp() + make_interval(secs => %s),"
        # An owner that released leaves NULL; one that is still written here died or lost its database.
        " unclean_ends = CASE WHEN mine.owner IS NULL THEN 0 ELSE mine.unclean_ends + 1 END"
        " WHERE slot = (SELECT slot FROM ingest_slot WHERE slot < %s"
        "   AND (owner IS NULL OR leased_until < clock_timestamp() OR owner = ANY(%s))"
        "   ORDER BY slot LIMIT 1 FOR UPDATE SKIP LOCKED)"
        " RETURNING slot, epoch, session_made, unclean_ends",
        (owner, LEASE_S, slots, list(dead)),
    ).fetchone()
    return Lease(*row) if row else None


def lease_retired_slot(conn: Connection, slots: int, owner: str, dead: Sequence[str] = ()) -> Lease | None:
    """Take a slot that the layout no longer has, to empty its queue; None when there is none to take."""
    row = conn.execute(
        # It is about to give its shards up; should the layout come back, it has to ask for them again.
        "UPDATE ingest_slot AS mine SET epoch = mine.epoch + 1, owner = %s, layout = NULL, connected = false,"
        " leased_until = clock_timestamp() + make_interval(secs => %s)"
        " WHERE slot = (SELECT slot FROM ingest_slot WHERE slot >= %s"
        "   AND (owner IS NULL OR leased_until < clock_timestamp() OR owner = ANY(%s))"
        "   ORDER BY slot LIMIT 1 FOR UPDATE SKIP LOCKED)"
        " RETURNING slot, epoch, session_made, unclean_ends",
        (owner, LEASE_S, slots, list(dead)),
    ).fetchone()
    return Lease(*row) if row else None


def forget_slot(conn: Connection, lease: Lease) -> None:
    """Remove an emptied slot; its watermark would hold back every judgement of silence for ever."""
    conn.execute("DELETE FROM time_watermark WHERE slot = %s", (lease.slot,))
    conn.execute("DELETE FROM ingest_slot WHERE slot = %s AND epoch = %s", (lease.slot, lease.epoch))


def limit_idle_transactions(conn: Connection) -> None:
    """Let the database end the transaction of a frozen worker: its lock on the slot would outlive the lease.

    Long enough for the rules to think about the largest batch between two statements.
    """
    conn.execute("SET idle_in_transaction_session_timeout = '15s'")


def hold(conn: Connection, lease: Lease) -> bool:
    """Lock the lease for this transaction; false when a newer epoch exists.

    The first statement of every batch: a worker that lost its slot while it was busy cannot commit.
    """
    row = conn.execute(
        "SELECT 1 FROM ingest_slot WHERE slot = %s AND epoch = %s FOR SHARE", (lease.slot, lease.epoch)
    ).fetchone()
    return row is not None


def renew(conn: Connection, lease: Lease, figures: SlotFigures) -> bool:
    """Hold the slot for another while; false when it is not ours any more."""
    row = conn.execute(
        "UPDATE ingest_slot SET leased_until = clock_timestamp() + make_interval(secs => %s),"
        f" seen_at = clock_timestamp(), {_FIGURES}"
        " WHERE slot = %s AND epoch = %s RETURNING slot",
        (LEASE_S, *figures, lease.slot, lease.epoch),
    ).fetchone()
    return row is not None


def release(conn: Connection, lease: Lease) -> None:
    """Give the slot back at once."""
    conn.execute(
        "UPDATE ingest_slot SET owner = NULL, leased_until = '-infinity', unclean_ends = 0,"
        " oldest_unacked_s = 0, window_used = 0, lag_s = 0, connected = false WHERE slot = %s AND epoch = %s",
        (lease.slot, lease.epoch),
    )


def note_session(conn: Connection, lease: Lease, *, present: bool, slots: int, sheds: bool) -> None:
    """Record that the broker has our session, subscribed for so many slots, and whether it had it before.

    ``sheds``: the shards of others were given up. A session that was there before keeps them otherwise.
    """
    conn.execute(
        "UPDATE ingest_slot SET session_made = true, session_present = %(present)s, connected = true,"
        " connected_at = clock_timestamp(), layout = CASE WHEN slot < %(slots)s THEN %(slots)s END,"
        " foreign_shards = %(present)s AND NOT %(sheds)s AND (foreign_shards OR layout IS DISTINCT FROM"
        "  %(slots)s)"
        " WHERE slot = %(slot)s AND epoch = %(epoch)s",
        {
            "present": present, "slots": slots, "sheds": sheds or slots == 1,
            "slot": lease.slot, "epoch": lease.epoch,
        },
    )  # fmt: skip


def attend(conn: Connection, owner: str, slots: int, dead: Sequence[str]) -> None:
    """Say that this process is there. Whoever is gone for long is struck off."""
    conn.execute(
        "DELETE FROM ingest_worker WHERE owner = ANY(%s)"
        " OR seen_at < clock_timestamp() - interval '5 minutes'",
        (list(dead),),
    )
    conn.execute(
        "INSERT INTO ingest_worker (owner, slots) VALUES (%s, %s)"
        " ON CONFLICT (owner) DO UPDATE SET seen_at = clock_timestamp()",
        (owner, slots),
    )


def leave(conn: Connection, owner: str) -> None:
    """Say that this process goes: the others need not wait to share its slots."""
    conn.execute("DELETE FROM ingest_worker WHERE owner = %s", (owner,))


def colleagues(conn: Connection, slots: int) -> list[str]:
    """Return the processes that are there and know of so many slots, the oldest first."""
    return [
        owner
        for (owner,) in conn.execute(
            "SELECT owner FROM ingest_worker WHERE slots = %s"
            " AND seen_at > clock_timestamp() - make_interval(secs => %s) ORDER BY started_at, owner",
            (slots, LEASE_S),
        ).fetchall()
    ]


def set_layout(conn: Connection, slots: int) -> None:
    """Make this the number of slots of the deployment."""
    conn.execute(
        "INSERT INTO ingest_layout AS known (slots) VALUES (%s) ON CONFLICT (singleton) DO UPDATE SET"
        " slots = EXCLUDED.slots, set_at = clock_timestamp() WHERE known.slots <> EXCLUDED.slots",
        (slots,),
    )


def layout(conn: Connection) -> int | None:
    """Return how many slots the deployment has."""
    row = conn.execute("SELECT slots FROM ingest_layout").fetchone()
    return row[0] if row else None


def is_complete(conn: Connection, slots: int) -> bool:
    """Whether every slot's session is subscribed for this layout: nobody needs another's shards any more."""
    row = conn.execute(
        "SELECT count(*) = %s FROM ingest_slot WHERE slot < %s AND layout = %s", (slots, slots, slots)
    ).fetchone()
    return bool(row and row[0])


def with_foreign_shards(conn: Connection, slots: int) -> set[int]:
    """Return the slots whose sessions still get shards of others."""
    return {
        slot
        for (slot,) in conn.execute(
            "SELECT slot FROM ingest_slot WHERE foreign_shards AND slot < %s", (slots,)
        ).fetchall()
    }


def forget_unclean_ends(conn: Connection, lease: Lease) -> None:
    """A batch has gone through the rules: earlier deaths were not their fault, or it is mended."""
    conn.execute("UPDATE ingest_slot SET unclean_ends = 0 WHERE slot = %s", (lease.slot,))


def heard_in_slot(conn: Connection, slot: int, slots: int, since: datetime) -> list[tuple[str, datetime]]:
    """Return the devices of a slot with an event after a moment, and their newest event times."""
    return [
        (device_id, last_t)
        for device_id, last_t in conn.execute(
            "SELECT device_id, last_t FROM device_status JOIN device USING (device_id)"
            " WHERE device.shard %% %s = %s AND last_t > %s",
            (slots, slot, since),
        ).fetchall()
    ]


def greatest_event_time(conn: Connection, slot: int, slots: int) -> datetime | None:
    """Return the newest event time stored of any device of the slot."""
    row = conn.execute(
        "SELECT max(last_t) FROM device_status JOIN device USING (device_id) WHERE device.shard %% %s = %s",
        (slots, slot),
    ).fetchone()
    return row[0] if row else None


def connected_slots(conn: Connection) -> int:
    """Return how many slots are leased by a live worker that has its broker session."""
    row = conn.execute(
        "SELECT count(*) FROM ingest_slot WHERE leased_until > clock_timestamp() AND connected_at IS NOT NULL"
    ).fetchone()
    return int(row[0]) if row else 0


def slot_rows(conn: Connection) -> list[SlotRow]:
    """Return every slot with its figures; incidents of the last hour are counted."""
    with conn.cursor(row_factory=class_row(SlotRow)) as cur:
        return cur.execute(
            "SELECT s.slot, leased_until > clock_timestamp() AND owner IS NOT NULL AS served, connected,"
            " extract(epoch FROM clock_timestamp() - seen_at)::float8 AS seen_s, oldest_unacked_s,"
            " window_used, lag_s, rejects, retries, broker_drops, batches, reports, batch_reports, commit_s,"
            " recent.drops AS recent_drops, recent.losses AS recent_losses FROM ingest_slot s,"
            " LATERAL (SELECT count(*) FILTER (WHERE kind = 'broker_dropped_messages') AS drops,"
            "   count(*) FILTER (WHERE kind = 'broker_session_lost') AS losses FROM ingest_incident i"
            "   WHERE i.slot = s.slot AND i.at > clock_timestamp() - interval '1 hour') recent"
            " ORDER BY s.slot"
        ).fetchall()
