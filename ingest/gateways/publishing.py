"""One MQTT connection that speaks for many devices, and says what became of each message.

A message is done when the broker acknowledged it with success (0x00, or any PUBACK of MQTT 3.1.1, which has
no reasons): 0x10 means that nobody is subscribed and the broker threw it away. While the broker is away
messages wait here, at most so many and so many bytes; then `has_room` is false and nobody is read from.
paho's thread owns the connection; what it hears comes to the event loop in bunches.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Any, NamedTuple

import paho.mqtt.client as mqtt
import structlog
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion

from core.clock import monotonic
from ingest.gateways.polling import wait_with_poll
from ingest.mqtt.address import parse_url

MOST_WAITING = 4_000
MOST_WAITING_BYTES = 32 * 1024 * 1024
KEEPALIVE_S = 30
CONNECT_TIMEOUT_S = 5.0
FIRST_RETRY_S, LONGEST_RETRY_S = 1, 5
FILTERS_AT_ONCE = 200
MOST_HEARD = 1_000
MOST_IN_FLIGHT = 65_535
POLL_S = 0.05
ACCEPTED = 0x00
UNSUPPORTED_PROTOCOL = {0x84, 0x01}

Done = Callable[[bool], None]
Heard = Callable[[str, bytes], None]

_log = structlog.get_logger("gateway")


class _Broker(NamedTuple):
    """What the broker speaks, and how many unacknowledged messages it allows."""

    protocol: MQTTProtocolVersion
    in_flight: int


@dataclass(slots=True)
class _Flight:
    key: bytes | None
    size: int
    done: list[Done] = field(default_factory=list)


class Publisher:
    """Publishes with QoS 1; every method but paho's callbacks is called on the event loop."""

    def __init__(self, url: str, client_id: str, *, heard: Heard, room: Callable[[], None]) -> None:
        """``heard`` gets messages of subscriptions; ``room`` is called when there is room again."""
        wait_with_poll()
        self._address, self._client_id = parse_url(url, "PLEDGEWATCH_GATEWAY_MQTT_URL"), client_id
        self._heard_by, self._room_for = heard, room
        self._loop = asyncio.get_running_loop()
        self._client: Any = None
        self._flights: dict[int, _Flight] = {}
        self._by_key: dict[bytes, _Flight] = {}
        self._bytes = 0
        self._filters: set[str] = set()
        self._happened: deque[tuple[str, Any, Any]] = deque()
        self._told = False
        self.connected = False
        self.refusals = 0
        self.last_refusal = ""

    # ------------------------------------------------------------------ on the event loop

    @property
    def waiting(self) -> int:
        """Return how many messages the broker has not answered."""
        return len(self._flights)

    @property
    def has_room(self) -> bool:
        """Whether another message may be published."""
        return len(self._flights) < MOST_WAITING and self._bytes < MOST_WAITING_BYTES

    async def connect(self) -> None:
        """Find out which MQTT the broker speaks, trying until there is one; then stay connected."""
        pause_s = float(FIRST_RETRY_S)
        while True:
            found = await asyncio.to_thread(self._probe)
            if found is not None:
                break
            _log.warning("broker_away", retry_s=pause_s)
            await asyncio.sleep(pause_s)
            pause_s = min(LONGEST_RETRY_S, pause_s * 2)
        client = self._new_client(found.protocol, self._client_id)
        client.reconnect_delay_set(FIRST_RETRY_S, LONGEST_RETRY_S)
        # A broker may allow fewer; beyond that it would hang up. The rest waits in paho's hands.
        client.max_inflight_messages_set(min(MOST_WAITING, found.in_flight))
        client.on_connect = self._on_connect
        client.on_disconnect = self._on_disconnect
        client.on_publish = self._on_publish
        client.on_message = self._on_message
        client.on_subscribe = self._on_subscribe
        self._client = client
        client.connect_async(self._address.host, self._address.port, KEEPALIVE_S)
        client.loop_start()

    def publish(self, topic: str, payload: bytes, done: Done | None = None, *, retain: bool = False) -> None:
        """Publish; ``done`` hears once whether the broker took it.

        The same message again while it is under way costs nothing; a retained one is a state, whose
        order counts, and goes out each time.
        """
        key = None if retain else blake2b(topic.encode() + b"\0" + payload, digest_size=16).digest()
        flight = None if key is None else self._by_key.get(key)
        if flight is None:
            flight = _Flight(key, len(topic) + len(payload))
            info = self._client.publish(topic, payload, qos=1, retain=retain)
            if info.rc == mqtt.MQTT_ERR_QUEUE_SIZE:
                if done is not None:
                    self._loop.call_soon(done, False)
                return
            self._flights[info.mid] = flight
            if key is not None:
                self._by_key[key] = flight
            self._bytes += flight.size
        if done is not None:
            flight.done.append(done)

    def subscribe(self, topic: str) -> None:
        """Listen to a topic, also after a reconnect."""
        self._filters.add(topic)
        if self.connected:
            self._client.subscribe(topic, qos=1)

    def unsubscribe(self, topic: str) -> None:
        """Listen no more."""
        if topic in self._filters:
            self._filters.discard(topic)
            if self.connected:
                self._client.unsubscribe(topic)

    async def close(self, drain_s: float = 0) -> None:
        """Wait a little for what is under way, then disconnect; the rest is the terminals' to send again."""
        if self._client is None:
            return
        until_s = monotonic() + drain_s
        waiting = bool(self._flights)
        while waiting:
            await asyncio.sleep(POLL_S)
            waiting = self.connected and bool(self._flights) and monotonic() < until_s
        self._client.disconnect()
        await asyncio.to_thread(self._client.loop_stop)

    def _tell(self) -> None:
        """Take what paho's thread has noted."""
        self._told = False
        had_room = self.has_room
        while self._happened:
            kind, one, two = self._happened.popleft()
            if kind == "published":
                self._settle(one, two)
            elif kind == "heard":
                self._heard_by(one, two)
            elif kind == "connected":
                self.connected = True
                self._subscribe_again()
            else:
                self.connected = False
        if not had_room and self.has_room:
            self._room_for()

    def _settle(self, mid: int, reason: int) -> None:
        flight = self._flights.pop(mid, None)
        if flight is None:
            return
        if flight.key is not None:
            self._by_key.pop(flight.key, None)
        self._bytes -= flight.size
        if reason != ACCEPTED:
            self.refusals += 1
            self.last_refusal = f"0x{reason:02x}"
        for done in flight.done:
            try:
                done(reason == ACCEPTED)
            except Exception:  # noqa: BLE001 - one session's mistake must not cost the others their answers
                _log.exception("answer_failed")

    def _subscribe_again(self) -> None:
        topics = sorted(self._filters)
        for start in range(0, len(topics), FILTERS_AT_ONCE):
            self._client.subscribe([(topic, 1) for topic in topics[start : start + FILTERS_AT_ONCE]])

    # ------------------------------------------------------------------ in paho's thread

    def _note(self, kind: str, one: Any = None, two: Any = None) -> None:
        self._happened.append((kind, one, two))
        if not self._told:
            self._told = True
            with contextlib.suppress(RuntimeError):  # the loop has ended
                self._loop.call_soon_threadsafe(self._tell)

    def _on_connect(self, _client: Any, _data: Any, _flags: Any, reason: Any, _properties: Any) -> None:
        if reason.is_failure:
            _log.error("broker_refused", reason=str(reason))
            return
        _log.info("broker_connected", client_id=self._client_id)
        self._note("connected")

    def _on_disconnect(self, _client: Any, _data: Any, _flags: Any, reason: Any, _properties: Any) -> None:
        _log.warning("broker_disconnected", reason=str(reason))
        self._note("disconnected")

    def _on_publish(self, _client: Any, _data: Any, mid: int, reason: Any, _properties: Any) -> None:
        self._note("published", mid, int(reason.value))

    def _on_message(self, _client: Any, _data: Any, message: Any) -> None:
        # Commands are few; whoever floods us with them loses them, and sends them again.
        if len(self._happened) < MOST_WAITING + MOST_HEARD:
            with contextlib.suppress(UnicodeDecodeError):
                self._note("heard", message.topic, bytes(message.payload))

    def _on_subscribe(
        self, _client: Any, _data: Any, _mid: int, reasons: list[Any], _properties: Any
    ) -> None:
        if any(reason.is_failure for reason in reasons):
            _log.error("subscription_refused", reasons=sorted({str(reason) for reason in reasons}))

    def _new_client(self, protocol: MQTTProtocolVersion, client_id: str) -> Any:
        options: dict[str, Any] = {} if protocol == MQTTProtocolVersion.MQTTv5 else {"clean_session": True}
        client = mqtt.Client(CallbackAPIVersion.VERSION2, client_id=client_id, protocol=protocol, **options)
        if self._address.username:
            client.username_pw_set(self._address.username, self._address.password)
        client.connect_timeout = CONNECT_TIMEOUT_S
        if self._address.tls:
            client.tls_set()
        return client

    def _probe(self) -> _Broker | None:
        """Return what the broker speaks, None when nobody answers or we are not let in yet."""
        for protocol in (MQTTProtocolVersion.MQTTv5, MQTTProtocolVersion.MQTTv311):
            answer = self._knock(protocol)
            if answer is None:
                continue
            code, in_flight = answer
            if code == ACCEPTED:
                return _Broker(protocol, in_flight)
            if code not in UNSUPPORTED_PROTOCOL:
                _log.error("broker_refused", reason=f"0x{code:02x}")
                return None
        return None

    def _knock(self, protocol: MQTTProtocolVersion) -> tuple[int, int] | None:
        """Return the broker's reason code, and how many messages it takes at once."""
        client = self._new_client(protocol, f"{self._client_id}-probe")
        answers: list[tuple[int, int]] = []

        def connected(_client: Any, _data: Any, _flags: Any, reason: Any, properties: Any) -> None:
            answers.append((int(reason.value), getattr(properties, "ReceiveMaximum", MOST_IN_FLIGHT)))

        client.on_connect = connected
        try:
            client.connect(self._address.host, self._address.port, KEEPALIVE_S)
            tries = 50
            while not answers and tries and client.loop(0.1) == mqtt.MQTT_ERR_SUCCESS:
                tries -= 1
            client.disconnect()
            client.loop(0.1)
        except (OSError, ValueError) as exc:
            _log.info("broker_unreachable", reason=str(exc))
        return answers[0] if answers else None


def array_of(items: Iterable[bytes]) -> bytes:
    """Return the payload of several reports."""
    return b"[" + b",".join(items) + b"]"
