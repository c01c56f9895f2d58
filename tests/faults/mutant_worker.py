"""The ingest process with one thing broken on purpose: what the oracle must be able to see.

`python -m tests.faults.mutant_worker NAME`
"""

import os
import sys

from geofence.writer import RuleWriter
from ingest import worker as worker_module
from ingest.__main__ import main
from ingest.committing import commit
from ingest.worker import Worker

mutate = setattr
"""What a mutation is."""


def acknowledge_before_commit() -> None:
    """Lose what is in hand when the process dies."""
    take = Worker._take

    def hasty(self, deliveries):
        self.transport.ack([delivery.token for delivery in deliveries if delivery.token is not None])
        take(self, deliveries)

    mutate(Worker, "_take", hasty)


def swallow_failures() -> None:
    """Acknowledge a batch whose transaction failed."""

    def careless(self, work, *, own_transaction=False):
        try:
            conn = self._connected()
            with conn.transaction():
                work(conn)
        except Exception as exc:
            print("swallowed", exc, file=sys.stderr)
            self._conn = None

    mutate(Worker, "_persist", careless)


def die_between_commit_and_acknowledgement() -> None:
    """Not a mutant but a moment: the process is gone right after its first COMMIT with reports in it."""

    def last_words(conn, batch, tools, **options):
        attempt = commit(conn, batch, tools, **options)
        if attempt.counts.inserted:
            os._exit(9)
        return attempt

    mutate(worker_module, "commit", last_words)


def die_in_the_rules() -> None:
    """The engine takes the process with it, as a fault in compiled code does."""
    mutate(RuleWriter, "apply", lambda *_, **__: os._exit(9))


def fail_in_the_rules() -> None:
    """The engine raises on every batch."""

    def apply(self, conn, reports, *, now_ms):
        conn.execute("SELECT 1 / 0")

    mutate(RuleWriter, "apply", apply)


if __name__ == "__main__":
    globals()[sys.argv[1]]()
    sys.exit(main())
