"""Takes what arrived off its queue, in whatever order batches were committed, and keeps the ledger."""

from __future__ import annotations

from typing import TYPE_CHECKING

import structlog

from core.telemetry.gaps import store
from core.telemetry.gaps.ledger import Run, Sequence

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

    from core.db.pool import Connection

MOST_BATCHES = 200
MOST_OPEN = 10_000
"""A boot with more open gaps has no sequence: numbers drawn at random would fill the table otherwise."""

_log = structlog.get_logger("gaps")


def catch_up(conn: Connection, now: datetime, most_batches: int = MOST_BATCHES) -> int:
    """Read the queue until it is empty; returns how many batches were taken. ``conn`` is in autocommit."""
    total = 0
    while taken := read_once(conn, now, most_batches):
        total += taken
    return total


def read_once(conn: Connection, now: datetime, most_batches: int = MOST_BATCHES) -> int:
    """Take some batches in one transaction; returns how many there were. ``now`` is telemetry time."""
    with conn.transaction():
        store.lock_reader(conn)
        taken, ends = store.take_arrivals(conn, most_batches)
        _merge(conn, _runs(ends), now)
    return taken


def _runs(ends: Iterable[store.End]) -> dict[store.Boot, list[Run]]:
    """Put the ends of runs together again; they come in order, a run's first before its last."""
    found: dict[store.Boot, list[Run]] = {}
    begun: store.End | None = None
    for end in ends:
        if end.first:
            begun = end
        if end.last and begun is not None:
            run = Run(begun.seq, begun.t, end.seq, end.t)
            found.setdefault((end.device_id, end.boot_id), []).append(run)
    return found


def _merge(conn: Connection, arrived: dict[store.Boot, list[Run]], now: datetime) -> None:
    known = store.sequences(conn, list(arrived))
    late = [boot for boot, runs in arrived.items() if boot in known and runs[0].low <= known[boot][0].high]
    gaps = store.open_gaps(conn, late)
    changed: dict[store.Boot, Sequence] = {}
    for boot, runs in arrived.items():
        sequence, ordered = known.get(boot, (None, True))
        if not ordered:
            continue
        if sequence is None:
            sequence = Sequence.begin(runs[0])
        sequence.gaps = gaps.get(boot, [])
        for run in runs:
            sequence.take(run, now)
            if len(sequence.gaps) > MOST_OPEN:
                break
        changed[boot] = sequence
    store.save_sequences(conn, changed)
    for boot, sequence in changed.items():
        if not sequence.closed and not any(gap.touched for gap in sequence.gaps):
            continue
        if len(sequence.gaps) <= MOST_OPEN:
            store.save_gaps(conn, boot, sequence, now)
        if max(len(sequence.gaps), store.count_open(conn, boot)) > MOST_OPEN:
            store.give_up(conn, boot, now)
            _log.warning("numbers_are_no_sequence", device_id=boot[0], boot_id=boot[1])
