"""The loop that lets thousands of devices speak from one process, in the fleet's send order."""

from __future__ import annotations

import heapq
import itertools
import random
import selectors
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from paho.mqtt.enums import MQTTProtocolVersion

from core.clock import monotonic
from core.errors import Misconfigured
from core.topics import MAX_REPORTS_PER_MESSAGE
from simulator.domain import Credential, DeviceReport
from simulator.publish.acklog import AckLog
from simulator.publish.broker import BrokerAddress, probe_protocol
from simulator.publish.link import ACCEPTED, CONNECT_PATIENCE_S, Link
from simulator.publish.pace import POLL_S, Pace
from simulator.publish.packing import Shipment, pack

# Beyond this the fleet waits for acknowledgements: memory stays small, and no device runs far ahead.
MOST_WAITING = 20_000
TAKE_AT_ONCE = 2_000
HANDSHAKES_AT_ONCE = 60  # under a broker's usual listen queue
TEND_EVERY_S = 5.0
REFUSAL_TRIES = 9
REFUSAL_PAUSE_S, LONGEST_REFUSAL_PAUSE_S = 0.5, 10.0
DRAIN_S = 60.0
GOODBYE_S = 10.0


@dataclass(slots=True)
class Tally:
    """What became of the reports."""

    sent: int = 0
    acknowledged: int = 0
    not_accepted: int = 0
    unanswered: int = 0
    messages: int = 0
    disconnects: int = 0
    simulated_ms: int = 0
    behind_ms: int = 0
    seconds: float = 0.0
    cpu_seconds: float = 0.0
    protocol: str = ""
    reasons: dict[int, int] = field(default_factory=dict)

    def summary(self) -> dict[str, object]:
        """Return the end's figures, as `--json` prints them."""
        done = max(self.acknowledged, 1)
        return {
            "sent": self.sent,
            "acknowledged": self.acknowledged,
            "not_accepted": self.not_accepted,
            "unanswered": self.unanswered,
            "messages": self.messages,
            "disconnects": self.disconnects,
            "seconds": round(self.seconds, 3),
            "reports_per_s": round(self.acknowledged / self.seconds, 1) if self.seconds else 0.0,
            "cpu_us_per_report": round(self.cpu_seconds / done * 1e6, 1),
            "protocol": self.protocol,
            "reason_codes": {str(code): number for code, number in sorted(self.reasons.items())},
        }


class Publisher:
    """Publishes reports when they are due, and keeps each until the broker has accepted it."""

    def __init__(
        self,
        address: BrokerAddress,
        credentials: Sequence[Credential],
        acklog: AckLog,
        *,
        speak_for_all: Credential | None = None,
        most_per_message: int = MAX_REPORTS_PER_MESSAGE,
        protocol: MQTTProtocolVersion | None = None,
        seed: int = 0,
    ) -> None:
        if not credentials:
            raise Misconfigured("Expected at least one device to publish for, was none", code="no_devices")
        self._acklog, self._most = acklog, most_per_message
        self._selector = selectors.DefaultSelector()
        self._watched: dict[Link, int] = {}
        self._retries: list[tuple[float, int, Link, Shipment]] = []
        self._numbers = itertools.count()
        self._waiting = 0
        self._stopping = False
        self._tended_at = 0.0
        self.tally = Tally()
        first = speak_for_all or credentials[0]
        chosen = protocol or probe_protocol(address, first.username, first.password)
        self.tally.protocol = "5" if chosen == MQTTProtocolVersion.MQTTv5 else "3.1.1"
        rng = random.Random(f"links:{seed}")
        if speak_for_all is not None:
            shards = {credential.device_id: credential.shard for credential in credentials}
            one = Link(address, chosen, speak_for_all, shards, rng, self._judge, self._lost)
            self._links = dict.fromkeys(shards, one)
        else:
            self._links = {
                c.device_id: Link(address, chosen, c, {c.device_id: c.shard}, rng, self._judge, self._lost)
                for c in credentials
            }
        self.links = list(dict.fromkeys(self._links.values()))
        self._to_pump: set[Link] = set()
        self._apart = set(self.links)  # without a connection
        self._greeting: set[Link] = set()  # connected, not yet let in

    def stop(self) -> None:
        """Take no further reports; what was sent may still be acknowledged. Safe in a signal handler."""
        self._stopping = True

    def run(
        self,
        reports: Iterable[DeviceReport],
        pace: Pace,
        *,
        on_progress: Callable[[Tally], None] | None = None,
        drain_s: float = DRAIN_S,
        before_start: Callable[[], None] | None = None,
    ) -> Tally:
        """Publish until the reports end (or `stop`), then wait for the last acknowledgements."""
        began_s, began_cpu = monotonic(), time.process_time()
        feed = _Feed(reports, pace)
        try:
            self._connect_everybody(began_s)
            if before_start is not None:
                before_start()
            drained_by: float | None = None
            while True:
                self._turn(feed)
                self.tally.seconds = monotonic() - began_s
                self.tally.cpu_seconds = time.process_time() - began_cpu
                if on_progress is not None:
                    on_progress(self.tally)
                if self._stopping or feed.ended:
                    drained_by = drained_by or monotonic() + (GOODBYE_S if self._stopping else drain_s)
                    if self._waiting == 0 or monotonic() > drained_by:
                        break
            self._say_goodbye()
        finally:
            self._close()
        self.tally.seconds = monotonic() - began_s
        self.tally.cpu_seconds = time.process_time() - began_cpu
        return self.tally

    # ------------------------------------------------------------------ one turn of the loop

    def _turn(self, feed: _Feed) -> None:
        now_s = monotonic()
        idle_s = POLL_S
        if not self._stopping:
            room = MOST_WAITING - self._counted_waiting()
            due = feed.take(min(room, TAKE_AT_ONCE)) if room > 0 else []
            self._enqueue(due)
            idle_s = 0.0 if len(due) == TAKE_AT_ONCE else feed.wait_s() if room > 0 else POLL_S
            self.tally.simulated_ms, self.tally.behind_ms = feed.reached_ms, feed.behind_ms()
        while self._retries and self._retries[0][0] <= now_s:
            _, _, link, shipment = heapq.heappop(self._retries)
            link.backlog.append(shipment)
            self._to_pump.add(link)
        self._pump()
        self._look(idle_s)
        self._tend(monotonic())
        self._acklog.sync_sometimes()

    def _counted_waiting(self) -> int:
        # A device that the broker refuses must not hold up the others.
        refused = sum(link.reports_waiting for link in self._apart if link.refused is not None)
        return self._waiting - refused

    def _enqueue(self, due: list[DeviceReport]) -> None:
        for shipment in pack(due, self._most):
            link = self._links.get(shipment.device_id)
            if link is None:
                raise Misconfigured(
                    f"Device {shipment.device_id}: expected credentials, was not in the list",
                    code="no_credentials",
                )
            self._waiting += len(shipment.reports)
            link.backlog.append(shipment)
            self._to_pump.add(link)

    def _pump(self) -> None:
        for link in self._to_pump:
            sent_before = len(link.in_flight)
            link.pump()
            self.tally.messages += len(link.in_flight) - sent_before
            if link.wants_write:
                link.write()
            self._watch(link)
        self._to_pump.clear()

    def _look(self, timeout_s: float) -> None:
        for key, mask in self._selector.select(timeout_s):
            link: Link = key.data
            if mask & selectors.EVENT_READ:
                link.read()
            if mask & selectors.EVENT_WRITE and link.sock is not None:
                link.write()
            if link.backlog and link.ready:
                self._to_pump.add(link)
            elif link.wants_write and link.sock is not None:
                link.write()
            self._watch(link)

    def _watch(self, link: Link) -> None:
        """Let the selector follow what the link's socket waits for."""
        sock = link.sock
        if sock is None:
            return
        wanted = selectors.EVENT_READ | (selectors.EVENT_WRITE if link.wants_write else 0)
        known = self._watched.get(link)
        if known is None:
            self._selector.register(sock, wanted, link)
        elif known != wanted:
            self._selector.modify(sock, wanted, link)
        self._watched[link] = wanted

    def _lost(self, link: Link) -> None:
        """Forget a connection while its socket is still open: a closed one's number is soon another's."""
        if self._watched.pop(link, None) is not None:
            self._selector.unregister(link.closing)
        self._greeting.discard(link)
        self._apart.add(link)
        self.tally.disconnects += not self._stopping
        link.give_up_connecting(monotonic())

    # ------------------------------------------------------------------ connections

    def _connect_everybody(self, began_s: float) -> None:
        """Let every device in before the first report; those that cannot are tried again beside it."""
        while not self._stopping and monotonic() - began_s < DRAIN_S:
            self._tend(monotonic())
            self._look(POLL_S)
            if all(link.ready or link.refused is not None for link in self.links):
                return

    def _tend(self, now_s: float) -> None:
        for link in list(self._greeting):
            if link.ready or link.connecting_since is None:
                self._greeting.discard(link)
            elif now_s - link.connecting_since > CONNECT_PATIENCE_S:
                link.drop()
                self._watch(link)
        if not self._stopping:
            self._knock(now_s)
        if now_s - self._tended_at > TEND_EVERY_S:
            self._tended_at = now_s
            for link in self.links:
                if link.sock is not None:
                    link.tend()
                    self._watch(link)

    def _knock(self, now_s: float) -> None:
        """Open connections that are due, a few at a time: a broker's listen queue is short."""
        due = [link for link in self._apart if now_s >= link.retry_at]
        for link in sorted(due, key=lambda link: link.retry_at)[
            : max(0, HANDSHAKES_AT_ONCE - len(self._greeting))
        ]:
            if not link.connect(now_s):
                continue
            self._apart.discard(link)
            self._greeting.add(link)
            if link.wants_write:
                link.write()
            self._watch(link)

    def _judge(self, link: Link, shipment: Shipment, reason_code: int) -> None:
        """Take the broker's answer to a message."""
        number = len(shipment.reports)
        self.tally.reasons[reason_code] = self.tally.reasons.get(reason_code, 0) + 1
        if reason_code != ACCEPTED and shipment.tries + 1 < REFUSAL_TRIES and not self._stopping:
            pause_s = min(LONGEST_REFUSAL_PAUSE_S, REFUSAL_PAUSE_S * 2**shipment.tries)
            shipment.tries += 1
            heapq.heappush(self._retries, (monotonic() + pause_s, next(self._numbers), link, shipment))
            return
        self._acklog.record(shipment.reports, reason_code)
        self._waiting -= number
        self.tally.sent += number
        if reason_code == ACCEPTED:
            self.tally.acknowledged += number
        else:
            self.tally.not_accepted += number

    # ------------------------------------------------------------------ the end

    def _say_goodbye(self) -> None:
        for link in self.links:
            link.say_goodbye()
            self._to_pump.add(link)
        self._stopping = True
        deadline = monotonic() + GOODBYE_S
        while any(link.statuses_pending for link in self.links) and monotonic() < deadline:
            self._pump()
            self._look(POLL_S)

    def _close(self) -> None:
        left = [shipment for _, _, _, shipment in self._retries]
        for link in self.links:
            # What waits in the backlog was never sent, unless the broker refused it before.
            left += [*link.in_flight.values(), *(shipment for shipment in link.backlog if shipment.tries)]
            link.close()
        for shipment in left:
            self._acklog.record(shipment.reports, None)
            self.tally.sent += len(shipment.reports)
            self.tally.unanswered += len(shipment.reports)
        self._selector.close()
        self._acklog.close()


class _Feed:
    """The reports, with one in hand; takes those that are due."""

    def __init__(self, reports: Iterable[DeviceReport], pace: Pace) -> None:
        self._reports: Iterator[DeviceReport] = iter(reports)
        self._pace = pace
        self._next = next(self._reports, None)
        self.reached_ms = 0

    @property
    def ended(self) -> bool:
        return self._next is None

    def take(self, most: int) -> list[DeviceReport]:
        now_ms = self._pace.now_ms()
        due: list[DeviceReport] = []
        while self._next is not None and len(due) < most and (now_ms is None or self._next.send_ms <= now_ms):
            due.append(self._next)
            self._next = next(self._reports, None)
        if due:
            self.reached_ms = due[-1].send_ms
        return due

    def wait_s(self) -> float:
        return 0.0 if self._next is None else self._pace.wait_s(self._next.send_ms)

    def behind_ms(self) -> int:
        now_ms = self._pace.now_ms()
        return 0 if self._next is None or now_ms is None else max(0, now_ms - self._next.send_ms)
