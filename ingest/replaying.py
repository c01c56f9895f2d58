"""`quarantine replay`: what was refused goes through the same stages again, after a fix."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from core.clock import monotonic
from core.telemetry.writing import store as telemetry
from ingest import store
from ingest.committing import commit
from ingest.domain import Delivery
from ingest.pipeline import prepare

if TYPE_CHECKING:
    from core.db.pool import Connection
    from ingest.store import Quarantined
    from ingest.storing import Attempt, Tools

AT_ONCE = 500


@dataclass(slots=True)
class ReplayReport:
    """What became of the replayed reports."""

    tried: int = 0
    inserted: int = 0
    undated: int = 0
    repeats: int = 0
    status: int = 0
    refused: dict[str, int] = field(default_factory=dict)


def replay(
    conn: Connection, tools: Tools, *, reason: str | None = None, quarantine_id: int | None = None
) -> ReplayReport:
    """Send waiting entries again; those that are stored, or refused for another reason, are done.

    ``conn`` is in autocommit mode. Running it twice stores nothing twice.
    """
    telemetry.prepare(conn)
    report = ReplayReport()
    after_id = 0
    while True:
        with conn.transaction():
            entries = store.list_quarantine(
                conn, reason=reason, quarantine_id=quarantine_id, after_id=after_id, limit=AT_ONCE
            )
        if not entries:
            return report
        after_id = entries[-1].quarantine_id
        _replay_some(conn, tools, entries, report)


def _replay_some(conn: Connection, tools: Tools, entries: list[Quarantined], report: ReplayReport) -> None:
    deliveries = [Delivery(None, entry.topic, _payload(entry.payload), monotonic()) for entry in entries]

    def mark(attempt: Attempt) -> None:
        refused = {(entry.sha256, entry.topic, entry.reason) for entry in attempt.refusals}
        done = [
            entry.quarantine_id
            for entry in entries
            if (bytes(entry.sha256), entry.topic, entry.reason) not in refused
        ]
        store.mark_replayed(conn, done)

    attempt = commit(conn, prepare(deliveries, tools.clock), tools, also=mark)
    counts = attempt.counts
    report.tried += len(entries)
    report.inserted += counts.inserted
    report.undated += counts.undated
    report.repeats += counts.duplicate + counts.dup_conflict + counts.undated_duplicate
    report.status += counts.status
    reasons = [entry.reason for entry in attempt.refusals] + [letter.reason for letter in attempt.batch.dead]
    for reason in reasons:
        report.refused[reason] = report.refused.get(reason, 0) + 1


def _payload(item: bytes) -> bytes:
    """Return a payload whose only element is the item: one that is an array itself must not be cut up."""
    return b"[" + item + b"]" if item.startswith(b"[") else item
