"""One batch, one transaction: lease, stages, commit. What fails leaves nothing behind."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ingest.faults import LeaseLost
from ingest.pipeline import attempt_commit
from ingest.slots import store as slot_store
from ingest.storing import Attempt, DaysMissing

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import date

    from core.db.pool import Connection
    from ingest.domain import Batch
    from ingest.storing import Tools


def commit(
    conn: Connection,
    batch: Batch,
    tools: Tools,
    *,
    use_rules: bool = True,
    also: Callable[[Attempt], None] = lambda _: None,
) -> Attempt:
    """Commit a batch; days that have no partition yet are made in between, in their own transaction.

    ``conn`` is in autocommit mode with its staging table prepared. ``also`` runs inside the
    transaction, after the stages.

    Raises:
        LeaseLost: the slot has a newer epoch; nothing was stored.
        psycopg.Error: nothing was stored; the caller may try the same batch again.
    """
    closed: frozenset[date] = frozenset()
    certain = False
    while True:
        attempt = Attempt(batch, tools, conn, closed, certain, use_rules)
        try:
            with conn.transaction():
                if tools.lease is not None and not slot_store.hold(conn, tools.lease):
                    raise LeaseLost(f"slot {tools.lease.slot}, epoch {tools.lease.epoch}")
                attempt_commit(attempt)
                also(attempt)
        except DaysMissing as need:
            if tools.rules is not None:
                tools.rules.rolled_back()
            with conn.transaction():
                closed |= tools.partitions.ensure(conn, need.days)
            certain = True
        except BaseException:
            if tools.rules is not None:
                tools.rules.rolled_back()
            raise
        else:
            if tools.rules is not None and attempt.judged:
                tools.rules.committed()
            return attempt
