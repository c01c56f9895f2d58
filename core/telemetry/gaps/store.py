"""SQL of the gap ledger."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, NamedTuple

from psycopg.rows import class_row

from core.telemetry.gaps.ledger import Gap, Sequence

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from collections.abc import Sequence as Rows

    from core.db.pool import Connection

READER_LOCK = (7006, 0)
"""Advisory lock (namespace, id): two readers would each see half of the numbers and none of the other's."""

Boot = tuple[str, int]


class End(NamedTuple):
    """A number at an end of a run of consecutive ones (both ends, when it stands alone)."""

    device_id: str
    boot_id: int
    seq: int
    t: datetime
    first: bool
    last: bool


class GapRow(NamedTuple):
    """A gap as people see it."""

    gap_id: int
    device_id: str
    boot_id: int
    from_seq: int
    to_seq: int
    missing: int
    after_t: datetime
    before_t: datetime
    opened_at: datetime
    overdue_at: datetime | None
    closed_at: datetime | None

    @property
    def state(self) -> str:
        """Return open, overdue (beyond the device's buffer) or closed."""
        if self.closed_at is not None:
            return "closed"
        return "open" if self.overdue_at is None else "overdue"


class BootRow(NamedTuple):
    """How far a boot was heard. ``ordered`` is false when its numbers are no sequence."""

    boot_id: int
    low: int
    high: int
    high_t: datetime
    ordered: bool


def log_staged(conn: Connection) -> None:
    """Queue what is left in the staging table: the reports that are new. One row, whatever their number."""
    conn.execute(
        "INSERT INTO telemetry_arrival (device_id, boot_id, seq, t)"
        " SELECT array_agg(device_id), array_agg(boot_id), array_agg(seq), array_agg(t)"
        " FROM report_stage HAVING count(*) > 0"
    )


def log_known(conn: Connection, seen: Iterable[tuple[str, int, int, datetime]]) -> None:
    """Queue (device, boot, seq, received at) of what was refused and is kept elsewhere: it did come."""
    rows = list(seen)
    if rows:
        devices, boots, seqs, times = (list(column) for column in zip(*rows, strict=True))
        conn.execute(
            "INSERT INTO telemetry_arrival (device_id, boot_id, seq, t)"
            " VALUES (%s::text[], %s::bigint[], %s::bigint[], %s::timestamptz[])",
            (devices, boots, seqs, times),
        )


def lock_reader(conn: Connection) -> None:
    """Wait until no other reader is at work; holds until the transaction ends."""
    conn.execute("SELECT pg_advisory_xact_lock(%s, %s)", READER_LOCK)


def take_arrivals(conn: Connection, most_batches: int) -> tuple[int, list[End]]:
    """Take the oldest batches off the queue; return how many, and the ends of runs to be merged, in order.

    A batch that commits late is found by the next call: the queue has no cursor to fall behind.
    """
    taken = [
        arrival_id
        for (arrival_id,) in conn.execute(
            "SELECT arrival_id FROM telemetry_arrival ORDER BY arrival_id LIMIT %s", (most_batches,)
        ).fetchall()
    ]
    if not taken:
        return 0, []
    rows = conn.execute(_RUN_ENDS, (taken,)).fetchall()
    conn.execute("DELETE FROM telemetry_arrival WHERE arrival_id = ANY(%s)", (taken,))
    return len(taken), [End(*row) for row in rows]


# Text is compared as bytes: ten times faster than by a language, and any order will do. Most boots just
# go on where they were: one statement moves their ends, and only the others are told.
_RUN_ENDS = """
WITH one AS (
    SELECT u.device_id COLLATE "C" AS device_id, u.boot_id, u.seq, min(u.t) AS t
    FROM telemetry_arrival a, unnest(a.device_id, a.boot_id, a.seq, a.t) AS u(device_id, boot_id, seq, t)
    WHERE a.arrival_id = ANY(%s) AND u.boot_id <> 0 AND u.seq >= 0
    GROUP BY 1, 2, 3
), placed AS (
    SELECT *, lag(seq) OVER boot + 1 IS DISTINCT FROM seq AS first,
        lead(seq) OVER boot - 1 IS DISTINCT FROM seq AS last
    FROM one WINDOW boot AS (PARTITION BY device_id, boot_id ORDER BY seq)
), ends AS (
    SELECT device_id COLLATE "default" AS device_id, boot_id, seq, t, first, last,
        min(seq) OVER boot AS low, count(*) FILTER (WHERE first) OVER boot AS runs
    FROM placed WHERE first OR last WINDOW boot AS (PARTITION BY device_id, boot_id)
), judged AS MATERIALIZED (
    SELECT e.*, coalesce(e.runs = 1 AND e.low - 1 = s.high AND s.disordered_at IS NULL, false) AS goes_on
    FROM ends e LEFT JOIN device_sequence s ON s.device_id = e.device_id AND s.boot_id = e.boot_id
), moved AS (
    UPDATE device_sequence s SET high = j.seq, high_t = j.t FROM judged j
    WHERE j.goes_on AND j.last AND s.device_id = j.device_id AND s.boot_id = j.boot_id
)
SELECT device_id, boot_id, seq, t, first, last FROM judged WHERE NOT goes_on
ORDER BY device_id, boot_id, seq
"""


def sequences(conn: Connection, boots: Rows[Boot]) -> dict[Boot, tuple[Sequence, bool]]:
    """Return what is known of boots, without their gaps, and whether each is still a sequence."""
    rows = conn.execute(
        "SELECT s.device_id, s.boot_id, low, low_t, high, high_t, disordered_at IS NULL"
        " FROM unnest(%s::text[], %s::bigint[]) AS asked(device_id, boot_id)"
        " JOIN device_sequence s USING (device_id, boot_id)",
        _columns(boots),
    ).fetchall()
    return {(row[0], row[1]): (Sequence(*row[2:6]), row[6]) for row in rows}


def open_gaps(conn: Connection, boots: Rows[Boot]) -> dict[Boot, list[Gap]]:
    """Return the open gaps of boots, in order."""
    found: dict[Boot, list[Gap]] = {}
    for device_id, boot_id, *rest in conn.execute(
        "SELECT g.device_id, g.boot_id, from_seq, to_seq, after_t, before_t, opened_at, overdue_at, gap_id"
        " FROM unnest(%s::text[], %s::bigint[]) AS asked(device_id, boot_id)"
        " JOIN telemetry_gap g USING (device_id, boot_id) WHERE closed_at IS NULL ORDER BY from_seq",
        _columns(boots),
    ).fetchall():
        found.setdefault((device_id, boot_id), []).append(Gap(*rest))
    return found


def save_sequences(conn: Connection, known: Mapping[Boot, Sequence]) -> None:
    """Write how far boots were heard."""
    rows = [(*boot, each.low, each.low_t, each.high, each.high_t) for boot, each in sorted(known.items())]
    if rows:
        conn.execute(
            "INSERT INTO device_sequence AS s (device_id, boot_id, low, low_t, high, high_t)"
            " SELECT * FROM unnest(%s::text[], %s::bigint[], %s::bigint[], %s::timestamptz[], %s::bigint[],"
            " %s::timestamptz[])"
            " ON CONFLICT (device_id, boot_id) DO UPDATE SET low = EXCLUDED.low, low_t = EXCLUDED.low_t,"
            " high = EXCLUDED.high, high_t = EXCLUDED.high_t"
            " WHERE (s.low, s.high) <> (EXCLUDED.low, EXCLUDED.high)",
            [list(column) for column in zip(*rows, strict=True)],
        )


def save_gaps(conn: Connection, boot: Boot, sequence: Sequence, now: datetime) -> None:
    """Write what changed: filled gaps are closed first, so that no number is in two rows."""
    for gap in sequence.closed:
        if gap.gap_id is not None:
            conn.execute(
                "UPDATE telemetry_gap SET closed_at = %s, missing = 0 WHERE gap_id = %s", (now, gap.gap_id)
            )
    # From the right: a narrowed gap must not begin where its neighbour still does.
    for gap in reversed(sequence.gaps):
        if gap.touched and gap.gap_id is not None:
            conn.execute(
                "UPDATE telemetry_gap SET from_seq = %s, to_seq = %s, missing = %s, after_t = %s,"
                " before_t = %s WHERE gap_id = %s",
                (gap.from_seq, gap.to_seq, gap.missing, gap.after_t, gap.before_t, gap.gap_id),
            )
    with conn.cursor() as cursor:
        cursor.executemany(
            "INSERT INTO telemetry_gap (device_id, boot_id, from_seq, to_seq, missing, after_t, before_t,"
            " opened_at, overdue_at) VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s)",
            [
                (*boot, gap.from_seq, gap.to_seq, gap.missing, gap.after_t, gap.before_t, gap.opened_at,
                 gap.overdue_at)
                for gap in sequence.gaps
                if gap.gap_id is None
            ],
        )  # fmt: skip


def count_open(conn: Connection, boot: Boot) -> int:
    """Return how many gaps of a boot are open."""
    row = conn.execute(
        "SELECT count(*) FROM telemetry_gap WHERE device_id = %s AND boot_id = %s AND closed_at IS NULL", boot
    ).fetchone()
    return int(row[0]) if row else 0


def give_up(conn: Connection, boot: Boot, now: datetime) -> None:
    """Say that a boot's numbers are no sequence; what looked like its gaps never was any."""
    conn.execute(
        "UPDATE device_sequence SET disordered_at = %s WHERE device_id = %s AND boot_id = %s", (now, *boot)
    )
    conn.execute("DELETE FROM telemetry_gap WHERE device_id = %s AND boot_id = %s", boot)


def gaps(
    conn: Connection,
    *,
    device_id: str | None = None,
    open_only: bool = True,
    before_id: int | None = None,
    limit: int = 100,
) -> list[GapRow]:
    """Return gaps, the newest first."""
    with conn.cursor(row_factory=class_row(GapRow)) as cur:
        return cur.execute(
            f"SELECT {', '.join(GapRow._fields)} FROM telemetry_gap"
            " WHERE (%(device)s::text IS NULL OR device_id = %(device)s)"
            " AND (NOT %(open)s OR closed_at IS NULL)"
            " AND (%(before)s::bigint IS NULL OR gap_id < %(before)s) ORDER BY gap_id DESC LIMIT %(limit)s",
            {"device": device_id, "open": open_only, "before": before_id, "limit": limit},
        ).fetchall()


def boots(conn: Connection, device_id: str, limit: int = 20) -> list[BootRow]:
    """Return how far the boots of a device were heard, the one heard last first."""
    with conn.cursor(row_factory=class_row(BootRow)) as cur:
        return cur.execute(
            "SELECT boot_id, low, high, high_t, disordered_at IS NULL AS ordered FROM device_sequence"
            " WHERE device_id = %s ORDER BY high_t DESC, boot_id DESC LIMIT %s",
            (device_id, limit),
        ).fetchall()


def totals(conn: Connection) -> tuple[int, int, int, int]:
    """Return how many gaps are open, of how many devices, reports missing, and gaps overdue."""
    row = conn.execute(
        "SELECT count(*), count(DISTINCT device_id), coalesce(sum(missing), 0)::bigint, count(overdue_at)"
        " FROM telemetry_gap WHERE closed_at IS NULL"
    ).fetchone()
    assert row is not None  # noqa: S101 - an aggregate always has a row
    return row[0], row[1], row[2], row[3]


def forget(conn: Connection, until: datetime) -> int:
    """Drop what was closed, and boots that ended complete, before a moment; returns how many rows."""
    closed = conn.execute("DELETE FROM telemetry_gap WHERE closed_at < %s", (until,)).rowcount
    return (
        closed
        + conn.execute(
            "DELETE FROM device_sequence s WHERE greatest(high_t, disordered_at) < %s AND NOT EXISTS"
            " (SELECT 1 FROM telemetry_gap g WHERE (g.device_id, g.boot_id) = (s.device_id, s.boot_id))",
            (until,),
        ).rowcount
    )


def _columns(boots: Rows[Boot]) -> tuple[list[str], list[int]]:
    return [device_id for device_id, _ in boots], [boot_id for _, boot_id in boots]
