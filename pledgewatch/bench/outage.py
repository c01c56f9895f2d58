"""The database goes away and comes back while the devices go on: what the worker holds, how it catches up."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass

import psutil

from core.clock import monotonic
from core.errors import Unavailable
from pledgewatch.bench import store
from pledgewatch.bench.rig import IngestRig
from pledgewatch.embedded.pause import Pause
from pledgewatch.embedded.processes import Child
from simulator.domain import DeviceReport
from simulator.publish.pace import Pace

LEAD_S = 2.0
CAUGHT_UP_S = 2.0
"""The worker's own probe goes round once a second: one this young has nothing waiting before it."""
WAIT_S = 240.0
MEGABYTE = 1024.0 * 1024.0


@dataclass(frozen=True, slots=True)
class Outage:
    """``catchup_ratio``: how fast the backlog and what still came were stored, over how fast it came."""

    rss_growth_mb: float
    catchup_ratio: float


def measure_outage(
    rig: IngestRig, ingest: Child, reports: Sequence[DeviceReport], pace: Pace, outage_s: float
) -> Outage:
    """Publish at a pace, and be without a database for so long in the middle of it.

    Raises:
        Unavailable: the worker did not catch up in time, or something was not acknowledged.
    """
    begun = threading.Event()
    failures: list[Exception] = []

    def publish() -> None:
        try:
            rig.publish(reports, pace, rig.acklog, begun.set)
        except Exception as exc:  # noqa: BLE001 - told to whoever waits for it
            failures.append(exc)
            begun.set()

    publisher = threading.Thread(target=publish)
    worker = psutil.Process(ingest.pid)
    publisher.start()
    begun.wait()
    _watch(worker, LEAD_S)
    before = worker.memory_info().rss
    gone_s = monotonic()
    rig.stop_database()
    highest = max(before, _watch(worker, outage_s))
    rig.start_database()
    back_s = monotonic()
    while store.seconds_behind(rig.conn) > CAUGHT_UP_S:
        highest = max(highest, _watch(worker, 0.05))
        if monotonic() > back_s + WAIT_S:
            raise Unavailable("Expected the worker to catch up, it did not", code="bench_incomplete")
    drained_s = monotonic() - back_s
    publisher.join()
    if failures:
        raise failures[0]
    return Outage((highest - before) / MEGABYTE, (back_s - gone_s + drained_s) / drained_s)


def _watch(worker: psutil.Process, seconds: float) -> int:
    """Return the most memory the worker had within some seconds."""
    until_s, pause, highest = monotonic() + seconds, Pause(), 0
    while True:
        highest = max(highest, worker.memory_info().rss)
        if monotonic() >= until_s:
            return highest
        pause()
