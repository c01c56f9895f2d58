"""The ingest process with something broken on purpose: what the oracle must be able to see.

`python -m tests.faults.mutant_worker NAME[=ARGUMENT] ...`; moments and tempers are no mutants, but bring
a fault about that would otherwise take luck or minutes.
"""

import os
import sys
import threading
from datetime import timedelta
from pathlib import Path

import core.clock
from core.clock import from_ms, to_ms
from geofence.writer import RuleWriter
from ingest import supervisor as supervisor_module
from ingest import worker as worker_module
from ingest.__main__ import main
from ingest.committing import commit
from ingest.domain import Token
from ingest.mqtt.keeping import KeptConnection
from ingest.slots import store as slot_store
from ingest.worker import Worker

mutate = setattr
"""What a mutation is."""

# ------------------------------------------------------------------------------------------ mutants


def acknowledge_before_commit() -> None:
    """Lose what is in hand when the process dies."""
    take = Worker._take

    def hasty(self, deliveries):
        self.transport.ack([delivery.token for delivery in deliveries if delivery.token is not None])
        take(self, deliveries)

    mutate(Worker, "_take", hasty)


def acknowledge_across_a_reconnect() -> None:
    """Answer a packet id of an earlier connection, which may be another message's by now."""
    run = Worker.run

    def forgetful(self):
        transport = self.transport
        ack = transport.ack

        def answer(tokens):
            ack([Token(transport.connections, token.mid) for token in tokens])

        mutate(transport, "ack", answer)
        run(self)

    mutate(Worker, "run", forgetful)


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


def fail_in_the_rules() -> None:
    """The engine raises on every batch."""

    def apply(self, conn, reports, *, now_ms):
        conn.execute("SELECT 1 / 0")

    mutate(RuleWriter, "apply", apply)


def die_in_the_rules() -> None:
    """The engine takes the process with it, as a fault in compiled code does."""
    mutate(RuleWriter, "apply", lambda *_, **__: os._exit(9))


# ------------------------------------------------------------------------------------------ moments


def die_between_commit_and_acknowledgement(after: str = "1") -> None:
    """The process is gone right after a COMMIT with reports in it."""
    left = int(after)

    def last_words(conn, batch, tools, **options):
        nonlocal left
        attempt = commit(conn, batch, tools, **options)
        if attempt.counts.inserted:
            left -= 1
            if left <= 0:
                os._exit(9)
        return attempt

    mutate(worker_module, "commit", last_words)


def die_before_the_second_commit() -> None:
    """The first batch is acknowledged; the process is gone while the next one is in hand."""
    seen = False

    def once(conn, batch, tools, **options):
        nonlocal seen
        if seen and batch.n_received:
            # What was acknowledged before is on its way by another thread.
            threading.Event().wait(0.5)
            os._exit(9)
        attempt = commit(conn, batch, tools, **options)
        seen = seen or bool(attempt.counts.inserted)
        return attempt

    mutate(worker_module, "commit", once)


# ------------------------------------------------------------------------------------------ tempers


def impatient() -> None:
    """Leases and idle transactions end in seconds instead of tens of them."""
    for module in (slot_store, sys.modules["ingest.slots.lease"]):
        if hasattr(module, "LEASE_S"):
            mutate(module, "LEASE_S", 2)
    mutate(worker_module, "RENEW_EVERY_S", 0.5)
    mutate(
        slot_store,
        "limit_idle_transactions",
        lambda conn: conn.execute("SET idle_in_transaction_session_timeout = '3s'"),
    )


def greedy(after_s: str = "1") -> None:
    """A process that has a slot takes another one sooner."""
    mutate(supervisor_module, "EXTRA_SLOT_AFTER_S", float(after_s))


def short_keepalive() -> None:
    """Ping the broker every second, so that a dead cable is seen within a few."""
    defaults = KeptConnection.__init__.__kwdefaults__
    assert defaults is not None
    defaults["keepalive_s"] = 2.0


def jumping_clock(place: str) -> None:
    """The process's wall clock is off by as many seconds as a file says, now."""
    real = core.clock.wall_now

    def jumped():
        text = Path(place).read_text(encoding="ascii").strip() if Path(place).exists() else ""
        return real() + timedelta(seconds=float(text or 0))

    for name, module in list(sys.modules.items()):
        if name.partition(".")[0] in {"core", "ingest", "geofence"} and hasattr(module, "wall_now"):
            mutate(module, "wall_now", jumped)
    assert from_ms(to_ms(jumped())) <= jumped()


if __name__ == "__main__":
    for order in sys.argv[1:]:
        name, _, argument = order.partition("=")
        globals()[name](*([argument] if argument else []))
    sys.exit(main())
