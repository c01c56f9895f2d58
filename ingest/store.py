"""SQL of refusals, the ledger and incidents."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, NamedTuple

from psycopg.types.json import Jsonb

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from core.db.pool import Connection
    from ingest.domain import Counts, DeadLetter, Refusal


class Quarantined(NamedTuple):
    """A refused report as operators see it."""

    quarantine_id: int
    topic: str
    device_id: str | None
    reason: str
    detail: str
    sqlstate: str | None
    payload: bytes
    sha256: bytes
    received_at: datetime
    times: int
    replayed_at: datetime | None


def add_refusals(conn: Connection, refusals: Iterable[Refusal], slot: int | None) -> None:
    """Keep refused items; one that is here already is counted, and waits again if it had been replayed."""
    first: dict[tuple[bytes, str, str], tuple[Refusal, int]] = {}
    for entry in refusals:
        key = (entry.sha256, entry.topic, entry.reason)
        kept, times = first.get(key, (entry, 0))
        first[key] = (kept, times + 1)
    with conn.cursor() as cursor:
        cursor.executemany(
            "INSERT INTO quarantine AS kept"
            " (topic, device_id, reason, detail, sqlstate, payload, sha256, slot, times)"
            " VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s)"
            " ON CONFLICT (sha256, topic, reason) DO UPDATE SET times = kept.times + EXCLUDED.times,"
            " last_received_at = clock_timestamp(), replayed_at = NULL, detail = EXCLUDED.detail",
            [
                (entry.topic, entry.device_id, entry.reason, _plain(entry.detail), entry.sqlstate, entry.raw,
                 entry.sha256, slot, times)
                for _, (entry, times) in sorted(first.items())
            ],
        )  # fmt: skip


def add_dead_letters(conn: Connection, letters: Iterable[DeadLetter], slot: int | None) -> None:
    """Keep payloads of which nothing could be read."""
    with conn.cursor() as cursor:
        cursor.executemany(
            "INSERT INTO dead_letter AS kept"
            " (topic, device_id, reason, detail, payload, sha256, element_sha256, slot)"
            " VALUES (%s, %s, %s, %s, %s, %s, %s, %s)"
            " ON CONFLICT (sha256, topic, reason) DO UPDATE SET times = kept.times + 1,"
            " last_received_at = clock_timestamp()",
            [
                (letter.topic, letter.device_id, letter.reason, _plain(letter.detail), letter.payload,
                 letter.sha256, list(letter.elements), slot)
                for letter in sorted(letters, key=lambda letter: letter.sha256)
            ],
        )  # fmt: skip


def _plain(text: str) -> str:
    return text.replace("\x00", "\ufffd")[:500]


def add_ledger_row(
    conn: Connection, counts: Counts, *, source: str, slot: int | None, epoch: int | None, without_rules: bool
) -> None:
    """Account for a batch; the table's CHECK refuses a row that does not add up.

    Raises:
        psycopg.errors.CheckViolation: an item was counted twice or not at all.
    """
    conn.execute(
        "INSERT INTO ingest_ledger (source, slot, epoch, n_messages, n_received, n_inserted, n_duplicate,"
        " n_dup_conflict, n_undated, n_undated_duplicate, n_status, n_quarantined, n_dead, without_rules)"
        " VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)",
        (
            source, slot, epoch, counts.messages, counts.received, counts.inserted, counts.duplicate,
            counts.dup_conflict, counts.undated, counts.undated_duplicate, counts.status, counts.quarantined,
            counts.dead, without_rules,
        ),
    )  # fmt: skip


def fold_ledger(conn: Connection, older_than: timedelta) -> int:
    """Sum old rows to one per slot and hour; the sums still add up. Returns how many rows were folded."""
    cursor = conn.execute(
        "WITH old AS (DELETE FROM ingest_ledger WHERE committed_at < clock_timestamp() - %s"
        "   AND source <> 'folded' RETURNING *)"
        " INSERT INTO ingest_ledger (source, slot, committed_at, n_batches, n_messages, n_received,"
        " n_inserted, n_duplicate, n_dup_conflict, n_undated, n_undated_duplicate, n_status, n_quarantined,"
        " n_dead, without_rules)"
        " SELECT 'folded', slot, date_trunc('hour', committed_at), sum(n_batches), sum(n_messages),"
        " sum(n_received), sum(n_inserted), sum(n_duplicate), sum(n_dup_conflict), sum(n_undated),"
        " sum(n_undated_duplicate), sum(n_status), sum(n_quarantined), sum(n_dead), bool_or(without_rules)"
        " FROM old GROUP BY slot, date_trunc('hour', committed_at)",
        (older_than,),
    )
    return cursor.rowcount


def add_incident(conn: Connection, slot: int | None, kind: str, detail: str, facts: dict[str, Any]) -> None:
    """Record something an operator has to know; the same again within a minute is not news."""
    text = _plain(detail)
    conn.execute(
        "INSERT INTO ingest_incident (slot, kind, detail, facts) SELECT %s, %s, %s, %s"
        " WHERE NOT EXISTS (SELECT 1 FROM ingest_incident WHERE at > clock_timestamp() - interval '1 minute'"
        "   AND slot IS NOT DISTINCT FROM %s AND kind = %s AND detail = %s)",
        (slot, kind, text, Jsonb(facts), slot, kind, text),
    )


def drops_told(conn: Connection, slot: int) -> int:
    """Return what the broker's counter of thrown-away messages was when the slot last told of it."""
    row = conn.execute(
        "SELECT (facts ->> 'counter')::bigint FROM ingest_incident WHERE kind = 'broker_dropped_messages'"
        " AND slot = %s AND facts ? 'counter' ORDER BY incident_id DESC LIMIT 1",
        (slot,),
    ).fetchone()
    return int(row[0]) if row else 0


def list_quarantine(
    conn: Connection,
    *,
    reason: str | None = None,
    quarantine_id: int | None = None,
    waiting_only: bool = True,
    after_id: int = 0,
    limit: int = 1_000,
) -> list[Quarantined]:
    """Return refused reports, oldest first."""
    rows = conn.execute(
        "SELECT quarantine_id, topic, device_id, reason, detail, sqlstate, payload, sha256, received_at,"
        " times, replayed_at FROM quarantine WHERE quarantine_id > %s"
        " AND (%s::text IS NULL OR reason = %s) AND (%s::bigint IS NULL OR quarantine_id = %s)"
        " AND (NOT %s OR replayed_at IS NULL) ORDER BY quarantine_id LIMIT %s",
        (after_id, reason, reason, quarantine_id, quarantine_id, waiting_only, limit),
    ).fetchall()
    return [Quarantined(*row) for row in rows]


def quarantine_summary(conn: Connection) -> list[tuple[str, int, int]]:
    """Return (reason, waiting, replayed), most waiting first."""
    return [
        (reason, waiting, replayed)
        for reason, waiting, replayed in conn.execute(
            "SELECT reason, count(*) FILTER (WHERE replayed_at IS NULL), count(replayed_at) FROM quarantine"
            " GROUP BY reason ORDER BY 2 DESC, 1"
        ).fetchall()
    ]


def mark_replayed(conn: Connection, quarantine_ids: Sequence[int]) -> None:
    """Say that these have been stored after all."""
    conn.execute(
        "UPDATE quarantine SET replayed_at = clock_timestamp() WHERE quarantine_id = ANY(%s)",
        (list(quarantine_ids),),
    )
