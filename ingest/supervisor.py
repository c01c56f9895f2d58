"""The process around the workers: it leases free slots, one thread each, and gives them back at the end."""

from __future__ import annotations

import gc
import signal
import threading
from dataclasses import dataclass
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
from ingest.slots.share import Allowance, fair_share
from ingest.worker import Worker

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from core.clock import Clock
    from core.db.pool import Connection
    from core.settings import Settings
    from ingest.mqtt.keeping import KeptConnection
    from ingest.slots.lease import Lease
    from ingest.storing import Tools

LEASE_TRY_S = 1.0
GC_THRESHOLDS = (50_000, 20, 50)
EXTRA_SLOT_AFTER_S = 5.0
"""So long a process waits before it takes more slots than it had: whoever had them may be restarting."""

_log = structlog.get_logger("ingest")


@dataclass(slots=True)
class Serving:
    """A slot being served by a thread of this process."""

    worker: Worker
    thread: threading.Thread

    @property
    def stays(self) -> bool:
        """Whether it goes on: a slot of the layout that was not asked to stop."""
        return not self.worker.retiring and not self.worker.stop.is_set()


class Supervisor:
    """Serves its share of the slots."""

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
        self._slots = settings.ingest_slots
        self._make_tools = make_tools
        self._owner = this_process()
        self._serving: dict[int, Serving] = {}
        self._allowance = Allowance(EXTRA_SLOT_AFTER_S)
        self._is_known = False
        self._layout_told: int | None = None
        self.stop = threading.Event()

    def run(self) -> None:
        """Lease and serve until ``stop`` is set (SIGTERM and SIGINT set it), then release."""
        # A batch makes thousands of objects that die with it, in no cycles: looking for cycles among them
        # every 700 takes a tenth of the processor time. What is imported by now stays for good.
        gc.freeze()
        gc.set_threshold(*GC_THRESHOLDS)
        try:
            while not self.stop.is_set():
                self._bury()
                self._attend()
                self.stop.wait(LEASE_TRY_S)
        finally:
            for serving in self._serving.values():
                serving.worker.stop.set()
            for serving in self._serving.values():
                serving.thread.join()
            self._leave()

    def obey_signals(self) -> None:
        """Let SIGTERM and SIGINT end ``run``."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: self.stop.set())

    # ------------------------------------------------------------------------------------ one round

    def _attend(self) -> None:
        """Say that we are there; take slots up to our share, give back what is above it."""
        try:
            with connect(self._database_url, name="ingest-lease") as conn:
                leases, sheds = self._look_around(conn)
        except psycopg.Error as exc:
            _log.warning("lease_failed", error=str(exc).partition("\n")[0])
            return
        for lease in leases:
            self._begin(lease, sheds=sheds)

    def _look_around(self, conn: Connection) -> tuple[list[Lease], bool]:
        dead = list(filter(surely_dead, slot_store.owners(conn)))
        slot_store.attend(conn, self._owner, self._slots, dead)
        if not self._is_known:
            slot_store.set_layout(conn, self._slots)
            conn.commit()
            self._is_known = True
        if not self._is_layout(slot_store.layout(conn)):
            return [], False
        share = fair_share(self._owner, slot_store.colleagues(conn, self._slots), self._slots)
        allowed = self._allowance.update(share, monotonic())
        complete = slot_store.is_complete(conn, self._slots)
        staying = [slot for slot, serving in self._serving.items() if serving.stays]
        if len(staying) > allowed:
            self._give_back(staying[-1], "others have less")
        elif complete:
            self._shed(set(staying) & slot_store.with_foreign_shards(conn, self._slots))
        wanted = (self._slots, self._owner, dead)
        leases: list[Lease] = []
        held = sum(not serving.worker.retiring for serving in self._serving.values())
        while held + len(leases) < allowed:
            lease = slot_store.lease_free_slot(conn, *wanted)
            if lease is None:
                break
            leases.append(lease)
        if not leases and complete:
            lease = slot_store.lease_retired_slot(conn, *wanted)
            leases += [lease] if lease else []
        return leases, complete

    def _is_layout(self, slots: int | None) -> bool:
        if slots == self._slots:
            return True
        if slots != self._layout_told:
            self._layout_told = slots
            _log.warning("layout_changed", ours=self._slots, now=slots, todo="restart with the new number")
        return False

    def _shed(self, slots: Iterable[int]) -> None:
        """Begin a slot anew that still gets shards of others: every shard has its new owner by now."""
        for slot in sorted(slots):
            if not self._serving[slot].worker.sheds:
                self._give_back(slot, "the layout changed")
                return

    def _give_back(self, slot: int, why: str) -> None:
        """Let a slot go; what it has received is stored first."""
        _log.info("slot_given_back", slot=slot, why=why)
        self._serving[slot].worker.stop.set()

    def _leave(self) -> None:
        try:
            with connect(self._database_url, name="ingest-lease") as conn:
                slot_store.leave(conn, self._owner)
        except psycopg.Error as exc:
            # They find out by themselves within LEASE_S.
            _log.warning("leave_failed", error=str(exc).partition("\n")[0])

    def _begin(self, lease: Lease, *, sheds: bool) -> None:
        try:
            with connect(self._database_url, name="ingest-clock") as conn:
                clock = open_clock(conn, self._settings)
        except psycopg.Error as exc:
            _log.warning("clock_failed", error=str(exc).partition("\n")[0])
            return  # the lease expires by itself
        _log.info("slot_leased", slot=lease.slot, epoch=lease.epoch, unclean_ends=lease.unclean_ends)
        worker = Worker(
            self._database_url,
            self._transport(lease.slot, sheds=sheds),
            self._make_tools(clock, lease),
            lease,
            self._slots,
            retiring=lease.slot >= self._slots,
            sheds=sheds,
        )
        thread = threading.Thread(target=self._serve, args=(worker,), name=f"slot-{lease.slot}")
        self._serving[lease.slot] = Serving(worker, thread)
        thread.start()

    def _transport(self, slot: int, *, sheds: bool) -> KeptConnection:
        """Return the slot's connection. Shards of others are kept until each is asked for by its owner.

        A shard that nobody is subscribed to loses what is published, with a success for the device.
        """
        transport, slots = transport_of(self._settings), self._slots
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
        return transport(self._mqtt_url, client_id(slot), [*filters, *own], unwanted=others if sheds else [])

    def _serve(self, worker: Worker) -> None:
        try:
            worker.run()
        except LeaseLost as exc:
            _log.warning("lease_lost", lease=str(exc))
        except Exception:  # noqa: BLE001 - its slot is leased again, by us or by another process
            _log.exception("worker_failed", slot=worker.lease.slot)

    def _bury(self) -> None:
        """Forget workers that ended, so that their slots can be leased again."""
        for slot, serving in list(self._serving.items()):
            if not serving.thread.is_alive():
                serving.thread.join()
                del self._serving[slot]
