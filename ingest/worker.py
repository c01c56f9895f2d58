"""One slot's worker: receive, commit, acknowledge, for ever; no failure of a neighbour ends it."""

from __future__ import annotations

import contextlib
import random
import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import psycopg
import structlog

from core.clock import monotonic, to_ms, wall_now
from core.db.pool import connect
from core.telemetry.writing import store as telemetry
from core.topics import probe as probe_topic
from ingest import store
from ingest.broker_drops import TOPIC as DROPS_TOPIC
from ingest.broker_drops import BrokerDrops
from ingest.committing import commit
from ingest.domain import Counts, Delivery
from ingest.faults import Fault, LeaseLost, classify
from ingest.pipeline import prepare
from ingest.slots import store as slot_store
from ingest.slots.gauges import SlotGauges
from ingest.slots.lease import RENEW_EVERY_S, Lease
from ingest.transport import Connected
from ingest.watermark import Watermark

if TYPE_CHECKING:
    from collections.abc import Callable

    from core.db.pool import Connection
    from ingest.domain import Batch
    from ingest.storing import Attempt, Tools
    from ingest.transport import IngestTransport

MOST_MESSAGES = 2_000
MOST_BYTES = 2 * 1024 * 1024
"""Some 8,000 reports: what the rules can judge well within the limit on idle transactions."""
FLUSH_S = 0.05
FLUSH_IDLE_S = 0.01
FULL_FLUSH_FROM = 200
"""A batch of so many pays for its transaction by waiting; a lone report has nobody to share one with."""
PROBE_EVERY_S = 1.0
BACKOFF_FIRST_S = 0.1
BACKOFF_MOST_S = 3.0
"""Most of what a worker is behind after an outage would else be its own waiting."""
RETIRED_AFTER_S = 3.0
CRASHES_BEFORE_WITHOUT_RULES = 2
"""After so many owners died in a row, what the broker sends again is stored without the rules."""

_log = structlog.get_logger("ingest")


def flush_s(taken: int) -> float:
    """Return how long the oldest report waits for company, from how many came with the batch before."""
    return FLUSH_IDLE_S + (FLUSH_S - FLUSH_IDLE_S) * min(1.0, taken / FULL_FLUSH_FROM)


class Stopped(Exception):
    """The process is shutting down while a batch cannot be committed; it stays unacknowledged."""


@dataclass(slots=True)
class Worker:
    """Serves one leased slot until ``stop`` is set or the lease is lost."""

    database_url: str
    transport: IngestTransport
    tools: Tools
    lease: Lease
    slots: int
    stop: threading.Event = field(default_factory=threading.Event)
    retiring: bool = False
    """The layout no longer has this slot: empty its queue, end its session, forget it."""
    sheds: bool = False
    """The transport gives up the shards of others: every slot has its own by now."""
    totals: Counts = field(default_factory=Counts)
    _conn: Connection | None = None
    _renew_at_s: float = 0.0
    _probe_at_s: float = 0.0
    _watermark: Watermark = field(init=False)
    _gauges: SlotGauges = field(init=False)
    _taken: int = 0
    _quiet_since_s: float | None = None
    _drops: BrokerDrops = field(default_factory=BrokerDrops)

    def __post_init__(self) -> None:
        self._watermark = Watermark(self.lease.slot, self.tools.clock)
        self._gauges = SlotGauges(self.lease.slot, self.transport)

    def run(self) -> None:
        """Work; returns after a clean stop.

        Raises:
            LeaseLost: another worker serves the slot now.
        """
        try:
            self._persist(self._recall)
            self.transport.connect()
            while not self.stop.is_set() and not self._is_empty():
                self.step()
            self._drain()
        except Stopped:
            _log.warning("stopped_with_unacknowledged_batch", slot=self.lease.slot)
        finally:
            empty = self._is_empty()
            self._gauges.close()
            self.transport.close(end_session=empty)
            self._release(forget=empty)

    def _recall(self, conn: Connection) -> None:
        self._watermark.recall(conn, self.slots)
        self._drops.recall(store.drops_told(conn, self.lease.slot))

    def step(self) -> None:
        """Receive and store at most one batch, then look after the lease and the probe."""
        deliveries = self.transport.recv_batch(
            most=MOST_MESSAGES, most_bytes=MOST_BYTES, flush_s=flush_s(self._taken), wait_s=RENEW_EVERY_S / 4
        )
        self._taken = len(deliveries)
        if deliveries:
            self._take(deliveries)
        if self.retiring:
            quiet = not deliveries and self.transport.ready
            self._quiet_since_s = (self._quiet_since_s or monotonic()) if quiet else None
        self._look_after()

    def _is_empty(self) -> bool:
        """Whether a retiring slot has been connected and quiet for so long that nothing can be queued."""
        return self._quiet_since_s is not None and monotonic() > self._quiet_since_s + RETIRED_AFTER_S

    def _drain(self) -> None:
        """Store what has been received already, so that a restart does not receive it again."""
        while deliveries := self.transport.recv_batch(
            most=MOST_MESSAGES, most_bytes=MOST_BYTES, flush_s=0.0, wait_s=0.0
        ):
            self._take(deliveries)

    def _take(self, deliveries: list[Delivery]) -> None:
        self._gauges.received(deliveries[0].arrived_s)
        broker_said = [delivery for delivery in deliveries if delivery.topic == DROPS_TOPIC]
        if broker_said:
            deliveries = [delivery for delivery in deliveries if delivery.topic != DROPS_TOPIC]
            self._note_drops(broker_said)
        if deliveries:
            self._store(prepare(deliveries, self.tools.clock))
            self.transport.ack([delivery.token for delivery in deliveries if delivery.token is not None])
        self._gauges.acknowledged()

    # ------------------------------------------------------------------------------ the transaction

    def _store(self, batch: Batch) -> None:
        """Commit the batch, whatever it takes; returns only when it is durable."""
        redelivered = any(delivery.redelivered for delivery in batch.deliveries)
        use_rules = not (redelivered and self.lease.unclean_ends >= CRASHES_BEFORE_WITHOUT_RULES)

        def once(conn: Connection) -> None:
            began_s = monotonic()
            attempt = commit(conn, batch, self.tools, use_rules=use_rules, also=self._mark)
            self._committed(attempt, monotonic() - began_s)

        self._persist(once, own_transaction=True)

    def _mark(self, attempt: Attempt) -> None:
        """Raise the watermark in the transaction that stores what came before the probe."""
        self._watermark.observe(item.known for item in attempt.fresh if not item.undated)
        if attempt.batch.probe is not None:
            self._watermark.save(attempt.conn, attempt.batch.probe)

    def _committed(self, attempt: Attempt, took_s: float) -> None:
        if attempt.judged and self.lease.unclean_ends:
            self._set_lease(self.lease._replace(unclean_ends=0))
        self._gauges.committed(attempt.counts, took_s)
        if attempt.batch.probe is not None:
            self._gauges.probe_stored((to_ms(wall_now()) - attempt.batch.probe.sent_at_ms) / 1000)
        for name in Counts.__slots__:
            setattr(self.totals, name, getattr(self.totals, name) + getattr(attempt.counts, name))

    def _set_lease(self, lease: Lease) -> None:
        self.lease = self.tools.lease = lease

    def _persist(self, work: Callable[[Connection], None], *, own_transaction: bool = False) -> None:
        """Run work against the database until it succeeds, with back-off and jitter.

        Raises:
            LeaseLost: the work found that the slot is not ours.
            Stopped: the process stops while the database is away.
        """
        backoff_s = BACKOFF_FIRST_S
        while True:
            try:
                conn = self._connected()
                if own_transaction:
                    work(conn)
                else:
                    with conn.transaction():
                        work(conn)
                return
            except LeaseLost:
                raise
            except Exception as exc:  # noqa: BLE001 - the window stays unacknowledged: visible lag instead of loss
                self._say(exc, backoff_s)
            if self.stop.wait(backoff_s * random.uniform(0.5, 1.5)):  # noqa: S311 - jitter, not a secret
                raise Stopped
            backoff_s = min(backoff_s * 2, BACKOFF_MOST_S)

    def _say(self, error: Exception, backoff_s: float) -> None:
        fault = classify(error)
        self._gauges.retried(getattr(error, "sqlstate", None) or fault.value)
        _log.warning(
            "batch_failed",
            slot=self.lease.slot,
            fault=fault.value,
            error=f"{type(error).__name__}: {error}".partition("\n")[0],
            retry_in_s=round(backoff_s, 2),
            exc_info=fault is Fault.UNKNOWN,
        )
        conn = self._conn
        if conn is None:
            return
        if conn.broken or fault is Fault.TRANSIENT:
            with contextlib.suppress(psycopg.Error):
                conn.close()
            self._conn = None
        elif backoff_s <= BACKOFF_FIRST_S:
            self._incident("batch_failed", f"{type(error).__name__}: {error}", {"fault": fault.value})

    def _connected(self) -> Connection:
        if self._conn is None or self._conn.closed:
            conn = connect(self.database_url, name=f"ingest-{self.lease.slot}", autocommit=True)
            telemetry.prepare(conn)
            slot_store.limit_idle_transactions(conn)
            self._conn = conn
        return self._conn

    # --------------------------------------------------------------------------------- housekeeping

    def _look_after(self) -> None:
        now_s = monotonic()
        if now_s >= self._probe_at_s and not self.retiring:
            self._probe_at_s = now_s + PROBE_EVERY_S
            if self.transport.publish(probe_topic(self.lease.slot), self._watermark.probe()):
                self._gauges.probe_sent()
        for event in self.transport.events():
            if isinstance(event, Connected):
                self._note_session(event)
            else:
                _log.warning(event.kind, slot=self.lease.slot, detail=event.detail)
        if now_s >= self._renew_at_s:
            self._renew_at_s = now_s + RENEW_EVERY_S
            self._persist(self._renew)

    def _renew(self, conn: Connection) -> None:
        if not slot_store.renew(conn, self.lease, self._gauges.figures()):
            raise LeaseLost(f"slot {self.lease.slot}, epoch {self.lease.epoch}")

    def _note_session(self, event: Connected) -> None:
        _log.info("connected", slot=self.lease.slot, session_present=event.session_present)
        lost = self.lease.session_made and not event.session_present
        self._set_lease(self.lease._replace(session_made=True))

        def note(conn: Connection) -> None:
            slot_store.note_session(
                conn, self.lease, present=event.session_present, slots=self.slots, sheds=self.sheds
            )
            if lost:
                store.add_incident(
                    conn,
                    self.lease.slot,
                    "broker_session_lost",
                    "The broker no longer had the slot's session: what it had accepted for it is gone; "
                    "gaps in the devices' seq show what",
                    {"connection": self.transport.connections},
                )

        self._persist(note)

    def _note_drops(self, deliveries: list[Delivery]) -> None:
        dropped = self._drops.increase(deliveries)
        if dropped:
            self._gauges.dropped(dropped)
            self._incident(
                "broker_dropped_messages",
                f"The broker threw {dropped} messages away; its queue limit was reached",
                {"dropped": dropped, "counter": self._drops.counter},
            )

    def _incident(self, kind: str, detail: str, facts: dict[str, object]) -> None:
        _log.error(kind, slot=self.lease.slot, detail=detail)
        try:
            conn = self._connected()
            with conn.transaction():
                store.add_incident(conn, self.lease.slot, kind, detail, facts)
        except psycopg.Error as exc:
            _log.warning("incident_not_recorded", kind=kind, error=str(exc))

    def _release(self, *, forget: bool) -> None:
        try:
            conn = self._connected()
            with conn.transaction():
                if forget:
                    slot_store.forget_slot(conn, self.lease)
                else:
                    slot_store.release(conn, self.lease)
            conn.close()
        except psycopg.Error as exc:
            # It expires by itself within LEASE_S.
            _log.warning("lease_not_released", slot=self.lease.slot, error=str(exc))
