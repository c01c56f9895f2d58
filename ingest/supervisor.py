"""The process around the workers: it leases free slots, one thread each, and gives them back at the end."""

from __future__ import annotations

import signal
import threading
from typing import TYPE_CHECKING

import psycopg
import structlog

from core import topics
from core.clock import monotonic
from core.db.pool import connect
from core.telemetry.clock import open_clock
from ingest.broker_drops import TOPIC as DROPS_TOPIC
from ingest.faults import LeaseLost
from ingest.mqtt.chosen import transport_of
from ingest.slots import store as slot_store
from ingest.slots.lease import client_id, shards_of
from ingest.slots.owner import surely_dead, this_process
from ingest.worker import Worker

if TYPE_CHECKING:
    from collections.abc import Callable

    from core.clock import Clock
    from core.settings import Settings
    from ingest.mqtt.keeping import KeptConnection
    from ingest.slots.lease import Lease
    from ingest.storing import Tools

LEASE_TRY_S = 1.0
EXTRA_SLOT_AFTER_S = 10.0
"""A process that has a slot leaves a free one this long to others, so that N processes share N slots."""

_log = structlog.get_logger("ingest")


class Supervisor:
    """Serves as many slots as it can get."""

    def __init__(
        self,
        database_url: str,
        mqtt_url: str,
        settings: Settings,
        make_tools: Callable[[Clock, Lease], Tools],
    ) -> None:
        self._database_url = database_url
        self._mqtt_url = mqtt_url
        self._settings = settings
        self._make_tools = make_tools
        self._owner = this_process()
        self._workers: dict[int, tuple[Worker, threading.Thread]] = {}
        self._leased_at_s = 0.0
        self.stop = threading.Event()

    def run(self) -> None:
        """Lease and serve until ``stop`` is set (SIGTERM and SIGINT set it), then release."""
        try:
            while not self.stop.is_set():
                self._bury()
                lease = self._lease()
                if lease is not None:
                    self._leased_at_s = monotonic()
                    self._begin(lease, retiring=lease.slot >= self._settings.ingest_slots)
                self.stop.wait(LEASE_TRY_S)
        finally:
            for worker, _ in self._workers.values():
                worker.stop.set()
            for _, thread in self._workers.values():
                thread.join()

    def obey_signals(self) -> None:
        """Let SIGTERM and SIGINT end ``run``."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: self.stop.set())

    def _lease(self) -> Lease | None:
        if self._workers and monotonic() < self._leased_at_s + EXTRA_SLOT_AFTER_S:
            return None
        try:
            with connect(self._database_url, name="ingest-lease") as conn:
                dead = list(filter(surely_dead, slot_store.owners(conn)))
                wanted = (self._settings.ingest_slots, self._owner, dead)
                return slot_store.lease_free_slot(conn, *wanted) or slot_store.lease_retired_slot(
                    conn, *wanted
                )
        except psycopg.Error as exc:
            _log.warning("lease_failed", error=str(exc).partition("\n")[0])
            return None

    def _begin(self, lease: Lease, *, retiring: bool) -> None:
        try:
            with connect(self._database_url, name="ingest-clock") as conn:
                clock = open_clock(conn, self._settings)
        except psycopg.Error as exc:
            _log.warning("clock_failed", error=str(exc).partition("\n")[0])
            return  # the lease expires by itself
        _log.info("slot_leased", slot=lease.slot, epoch=lease.epoch, unclean_ends=lease.unclean_ends)
        tools = self._make_tools(clock, lease)
        worker = Worker(
            self._database_url,
            self._transport(lease.slot),
            tools,
            lease,
            self._settings.ingest_slots,
            retiring=retiring,
        )
        thread = threading.Thread(target=self._serve, args=(worker,), name=f"slot-{lease.slot}")
        self._workers[lease.slot] = (worker, thread)
        thread.start()

    def _transport(self, slot: int) -> KeptConnection:
        transport = transport_of(self._settings)
        slots = self._settings.ingest_slots
        mine = shards_of(slot, slots) if slot < slots else []
        filters = [(name, 1) for shard in mine for name in topics.subscriptions(shard)]
        others = [
            name
            for shard in range(topics.SHARDS)
            if shard not in mine
            for name in topics.subscriptions(shard)
        ]
        own = [(topics.probe(slot), 1), (DROPS_TOPIC, 0)]
        if not mine:  # a slot that the layout no longer has: only what is queued is wanted
            return transport(
                self._mqtt_url, client_id(slot), [], unwanted=[*others, *(name for name, _ in own)]
            )
        return transport(self._mqtt_url, client_id(slot), [*filters, *own], unwanted=others)

    def _serve(self, worker: Worker) -> None:
        try:
            worker.run()
        except LeaseLost as exc:
            _log.warning("lease_lost", lease=str(exc))
        except Exception:  # noqa: BLE001 - its slot is leased again, by us or by another process
            _log.exception("worker_failed", slot=worker.lease.slot)

    def _bury(self) -> None:
        """Forget workers that ended, so that their slots can be leased again."""
        for slot, (_, thread) in list(self._workers.items()):
            if not thread.is_alive():
                thread.join()
                del self._workers[slot]
