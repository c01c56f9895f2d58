"""Devices in the field: each keeps a report until the broker has taken it, and logs what it was told."""

from __future__ import annotations

import hashlib
import json
import random
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Self

from core import topics
from core.clock import monotonic, wall_now
from tests.fix_ingest import minutes_ago, position
from tests.fix_stack import eventually
from tests.mqtt5 import Closed, Wire

WINDOW = 20
RECONNECT_S = 0.1
GIVE_UP_S = 90.0

Make = Callable[[str, int], dict[str, Any]]


@dataclass
class Sent:
    """One report and what became of it on the device's side. ``reason`` is -1 until a PUBACK came."""

    device_id: str
    boot_id: int
    seq: int
    payload: bytes
    reason: int = -1
    acked_at: datetime | None = None
    sends: int = 0

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.payload).hexdigest()

    @property
    def accepted(self) -> bool:
        return self.reason == 0


def track(device_id: str, seq: int) -> dict[str, Any]:
    """A vehicle that drives: a report of the last hour, later with each number."""
    return position(device_id, seq, minutes_ago(60 - seq / 100))


@dataclass
class Device:
    """One connection that comes back, with the reports that are not accepted yet, in order."""

    device_id: str
    password: str
    port: int
    count: int
    make: Make
    pause_s: float
    chance: random.Random
    version: int = 5
    log: list[Sent] = field(default_factory=list)
    connects: int = 0
    _unsure: dict[int, Sent] = field(default_factory=dict)

    def run(self, stop: threading.Event) -> None:
        """Report until everything is accepted or ``stop`` is set."""
        while not stop.is_set() and not self.done:
            try:
                with Wire("127.0.0.1", self.port, version=self.version, patience_s=2.0) as wire:
                    if wire.connect(self.device_id, self.device_id, self.password) == 0:
                        self.connects += 1
                        self._talk(wire, stop)
            except (Closed, OSError, AssertionError):
                stop.wait(RECONNECT_S * self.chance.uniform(0.5, 1.5))

    @property
    def done(self) -> bool:
        return len(self.log) == self.count and all(sent.accepted for sent in self.log)

    def _talk(self, wire: Wire, stop: threading.Event) -> None:
        self._unsure.clear()
        waiting = [sent for sent in self.log if not sent.accepted]
        topic = topics.build(topics.default_shard(self.device_id), self.device_id, "telemetry")
        while not stop.is_set():
            if len(self._unsure) < WINDOW:
                sent = waiting.pop(0) if waiting else self._next()
                if sent is not None:
                    self._unsure[wire.publish(topic, sent.payload, dup=False)] = sent
                    sent.sends += 1
                elif not self._unsure:
                    wire.leave()
                    return
            if len(self.log) < self.count or waiting:
                next_s = monotonic() + self.pause_s
                while (left := next_s - monotonic()) > 0:
                    wire.take(left)
            else:
                wire.take(0.2)
            waiting += self._settle(wire)

    def _next(self) -> Sent | None:
        if len(self.log) == self.count:
            return None
        report = self.make(self.device_id, len(self.log))
        payload = json.dumps(report, separators=(",", ":")).encode()
        self.log.append(Sent(self.device_id, report["boot_id"], report["seq"], payload))
        return self.log[-1]

    def _settle(self, wire: Wire) -> list[Sent]:
        """Note acknowledgements; return those that have to be sent again."""
        again = []
        for mid in [mid for mid in self._unsure if mid in wire.reasons]:
            sent = self._unsure.pop(mid)
            sent.reason = wire.reasons.pop(mid)
            sent.acked_at = wall_now()
            if not sent.accepted:
                again.append(sent)
        return again


class Fleet:
    """Devices that keep on reporting while things break; leaving the block waits for the last acceptance."""

    def __init__(
        self,
        accounts: dict[str, str],
        port: int,
        *,
        each: int,
        seed: int = 0,
        make: Make = track,
        pause_s: float = 0.004,
        version: int = 5,
        wait: bool = True,
    ) -> None:
        self.devices = [
            Device(name, password, port, each, make, pause_s, random.Random(f"{seed}:{name}"), version)
            for name, password in accounts.items()
        ]
        self._total = each * len(self.devices)
        self._wait = wait
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=device.run, args=(self._stop,)) for device in self.devices]

    @property
    def log(self) -> list[Sent]:
        return [sent for device in self.devices for sent in device.log]

    @property
    def accepted(self) -> int:
        return sum(sent.accepted for sent in self.log)

    def await_share(self, share: float, within_s: float = GIVE_UP_S) -> None:
        """Wait until so much of the whole has been accepted by the broker."""
        eventually(lambda: self.accepted >= share * self._total, within_s=within_s, what="traffic")

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        try:
            if kind is None and self._wait:
                eventually(
                    lambda: all(device.done for device in self.devices),
                    within_s=GIVE_UP_S,
                    what="the last acceptance",
                )
        finally:
            self._stop.set()
            for thread in self._threads:
                thread.join(timeout=10)


def rows_of(log: Sequence[Sent]) -> list[tuple[str, int, int, str, int]]:
    """Return the log as rows of a publish log."""
    return [(sent.device_id, sent.boot_id, sent.seq, sent.sha256, sent.reason) for sent in log]
