"""MQTT by paho-mqtt 2: one persistent session per slot, acknowledged by hand.

One thread owns the client: it connects, reads, and sends the acknowledgements that the writer
thread hands over. Callbacks only enqueue. There is no negative acknowledgement in MQTT: what is not
acknowledged stays in the session and comes again after a reconnect.
"""

from __future__ import annotations

import contextlib
import os
import random
import select
import threading
from collections import deque
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import unquote, urlsplit

import structlog
from paho.mqtt.client import Client, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.subscribeoptions import SubscribeOptions

from core.clock import monotonic
from core.errors import Misconfigured
from ingest.buffered_socket import BufferedSocket
from ingest.domain import Delivery, Token
from ingest.ring import Ring
from ingest.transport import Connected, Event, Trouble

if TYPE_CHECKING:
    from collections.abc import Sequence

RECEIVE_MAXIMUM = 4_096
"""Rate <= window / time to acknowledge: at 100 ms this allows 40,000 messages a second."""
SESSION_EXPIRY_S = 14 * 86_400
KEEPALIVE_S = 30
CONNECT_TIMEOUT_S = 5.0
BACKOFF_FIRST_S = 0.1
BACKOFF_MOST_S = 5.0
POLL_S = 0.25
RETAIN_ONLY_WHEN_NEW = 1

_log = structlog.get_logger("ingest")


class Address(NamedTuple):
    """A broker URL taken apart."""

    host: str
    port: int
    username: str | None
    password: str | None
    tls: bool


def parse_url(url: str) -> Address:
    """Take ``mqtt://user:password@host:port`` or ``mqtts://…`` apart.

    Raises:
        Misconfigured: another scheme, or no host.
    """
    parts = urlsplit(url)
    if parts.scheme not in {"mqtt", "mqtts"} or not parts.hostname:
        raise Misconfigured(
            "PLEDGEWATCH_MQTT_URL: expected mqtt://HOST:PORT or mqtts://HOST:PORT, "
            f"was a URL with scheme {parts.scheme!r}",
            code="bad_mqtt_url",
        )
    tls = parts.scheme == "mqtts"
    return Address(
        parts.hostname,
        parts.port or (8883 if tls else 1883),
        unquote(parts.username) if parts.username else None,
        unquote(parts.password) if parts.password else None,
        tls,
    )


class _Client(Client):
    """paho's client over our socket; everything else as it comes."""

    def _create_socket(self) -> Any:
        return BufferedSocket(super()._create_socket())


class PahoTransport:
    """One slot's session. ``filters``: (topic filter, QoS); ``unwanted``: left from another layout."""

    def __init__(
        self,
        url: str,
        client_id: str,
        filters: Sequence[tuple[str, int]],
        *,
        unwanted: Sequence[str] = (),
        receive_maximum: int = RECEIVE_MAXIMUM,
    ) -> None:
        self._address = parse_url(url)
        self._client_id = client_id
        self._filters = list(filters)
        self._unwanted = list(unwanted)
        self._receive_maximum = receive_maximum
        self._protocol = MQTTProtocolVersion.MQTTv5
        self._ring = Ring()
        self._acks: deque[Token] = deque()
        self._outbox: deque[tuple[str, bytes]] = deque()
        self._events: deque[Event] = deque()
        self._closing = False
        self._end_session = False
        self._thread: threading.Thread | None = None
        self._wake_read, self._wake_write = os.pipe()
        os.set_blocking(self._wake_write, False)
        os.set_blocking(self._wake_read, False)
        self._connection = 0
        self._session_present = False
        self._answered = False
        self._ready = False
        self._received = 0
        self._acknowledged = 0

    # ------------------------------------------------------------------ called by the writer thread

    def connect(self) -> None:
        """Start the network thread."""
        self._thread = threading.Thread(target=self._run, name=self._client_id, daemon=True)
        self._thread.start()

    def recv_batch(self, *, most: int, most_bytes: int, flush_s: float, wait_s: float) -> list[Delivery]:
        """Return a batch; see ``IngestTransport``."""
        return self._ring.take(most=most, most_bytes=most_bytes, flush_s=flush_s, wait_s=wait_s)

    def ack(self, tokens: Sequence[Token]) -> None:
        """Hand over acknowledgements, in receive order."""
        self._acks.extend(tokens)
        self._wake()

    def publish(self, topic: str, payload: bytes) -> bool:
        """Hand over a message for QoS 1; false while there is no session."""
        if not self._ready:
            return False
        self._outbox.append((topic, payload))
        self._wake()
        return True

    def events(self) -> list[Event]:
        """Return what happened since the last call."""
        happened = []
        while self._events:
            happened.append(self._events.popleft())
        return happened

    @property
    def window_used(self) -> int:
        """Return how many messages of this connection wait for acknowledgement."""
        return max(0, self._received - self._acknowledged)

    @property
    def connections(self) -> int:
        """Return how often a session was opened."""
        return self._connection

    @property
    def ready(self) -> bool:
        """Whether the session is open and subscribed."""
        return self._ready

    def close(self, *, end_session: bool = False) -> None:
        """Send what is pending, disconnect, stop the thread; ``end_session`` lets the broker forget it."""
        if self._closing:
            return
        self._end_session = end_session
        self._closing = True
        self._wake()
        if self._thread is not None:
            self._thread.join(timeout=CONNECT_TIMEOUT_S + 2)
            if self._thread.is_alive():
                return  # it still polls the pipe; the process is ending anyway
        os.close(self._wake_read)
        os.close(self._wake_write)

    # ------------------------------------------------------------------------ the network thread

    def _run(self) -> None:
        backoff_s = BACKOFF_FIRST_S
        while not self._closing:
            began_s = monotonic()
            self._answered = False
            client = self._new_client()
            try:
                client.connect(
                    self._address.host, self._address.port, KEEPALIVE_S, **self._connect_arguments()
                )
                self._serve(client)
            except (OSError, ValueError) as exc:
                self._lost("broker_unreachable", f"{type(exc).__name__}: {exc}")
            except Exception as exc:  # noqa: BLE001 - the thread must outlive whatever a packet does to the library
                _log.exception("transport_failed", client_id=self._client_id)
                self._lost("transport_failed", f"{type(exc).__name__}: {exc}")
            finally:
                self._ready = False
                sock = client.socket()
                if sock is not None:
                    with contextlib.suppress(OSError):
                        sock.close()
            if monotonic() - began_s > BACKOFF_MOST_S:
                backoff_s = BACKOFF_FIRST_S
            if not self._closing:
                self._pause(backoff_s * random.uniform(0.5, 1.5))  # noqa: S311 - jitter, not a secret
            backoff_s = min(backoff_s * 2, BACKOFF_MOST_S)

    def _new_client(self) -> _Client:
        v5 = self._protocol == MQTTProtocolVersion.MQTTv5
        client = _Client(
            CallbackAPIVersion.VERSION2,
            client_id=self._client_id,
            protocol=self._protocol,
            clean_session=None if v5 else False,
            manual_ack=True,
            reconnect_on_failure=False,
        )
        client.connect_timeout = CONNECT_TIMEOUT_S
        if self._address.username:
            client.username_pw_set(self._address.username, self._address.password)
        if self._address.tls:
            client.tls_set()
        client.on_connect = self._on_connect
        client.on_subscribe = self._on_subscribe
        client.on_disconnect = self._on_disconnect
        client.on_message = self._on_message
        # With this set paho queues packets and leaves the writing to our loop.
        client.on_socket_register_write = _nothing
        return client

    def _connect_arguments(self) -> dict[str, Any]:
        if self._protocol != MQTTProtocolVersion.MQTTv5:
            return {}
        properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
        properties.SessionExpiryInterval = SESSION_EXPIRY_S
        properties.ReceiveMaximum = self._receive_maximum
        return {"clean_start": False, "properties": properties}

    def _serve(self, client: _Client) -> None:
        sock: BufferedSocket | None = client.socket()  # type: ignore[assignment]
        if sock is None:
            return
        poll = select.poll()
        poll.register(self._wake_read, select.POLLIN)
        poll.register(sock.fileno(), select.POLLIN | select.POLLOUT)
        writing = True
        while client.socket() is not None:
            for descriptor, event in poll.poll(POLL_S * 1000):
                if descriptor == self._wake_read:
                    _drain(self._wake_read)
                elif event & ~select.POLLOUT:
                    sock.fill()
                    while sock.available and client.socket() is not None:
                        client.loop_read()
            if client.socket() is None:
                return
            self._send_pending(client)
            if self._closing and not self._acks and not self._outbox:
                self._disconnect(client)
            while client.want_write() and client.socket() is not None:
                client.loop_write()
            sock.flush()
            if writing != sock.unsent and client.socket() is not None:
                writing = sock.unsent
                poll.modify(sock.fileno(), select.POLLIN | (select.POLLOUT if writing else 0))
            client.loop_misc()

    def _disconnect(self, client: _Client) -> None:
        if self._end_session and self._protocol == MQTTProtocolVersion.MQTTv5:
            properties = Properties(PacketTypes.DISCONNECT)  # type: ignore[no-untyped-call]
            properties.SessionExpiryInterval = 0
            client.disconnect(properties=properties)
        else:
            client.disconnect()

    def _send_pending(self, client: _Client) -> None:
        while self._acks:
            token = self._acks.popleft()
            if token.connection == self._connection:
                client.ack(token.mid, 1)
                self._acknowledged += 1
        while self._outbox:
            topic, payload = self._outbox.popleft()
            client.publish(topic, payload, qos=1)

    def _on_connect(
        self, client: Client, userdata: object, flags: Any, reason: Any, properties: object
    ) -> None:
        self._answered = True
        if reason.is_failure:
            self._lost("broker_refused", str(reason))
            if "protocol version" in str(reason).lower():
                self._protocol = MQTTProtocolVersion.MQTTv311
            return
        self._connection += 1
        self._received = self._acknowledged = 0
        if flags.session_present:
            # What we hold unacknowledged comes again; without a session our copy may be the last one.
            self._ring.drop_before(self._connection)
        v5 = self._protocol == MQTTProtocolVersion.MQTTv5
        if self._unwanted:
            client.unsubscribe(self._unwanted)
        self._session_present = bool(flags.session_present)
        if not self._filters:
            self._opened()
        elif v5:
            options = [
                (topic, SubscribeOptions(qos=qos, retainHandling=RETAIN_ONLY_WHEN_NEW))
                for topic, qos in self._filters
            ]
            client.subscribe(options)
        else:
            client.subscribe(self._filters)

    def _on_subscribe(
        self, client: Client, userdata: object, mid: int, reasons: list[Any], properties: object
    ) -> None:
        refused = [
            topic for (topic, _), reason in zip(self._filters, reasons, strict=True) if reason.is_failure
        ]
        if refused:
            self._lost("subscription_refused", f"{len(refused)} filters, first {refused[0]}")
            client.disconnect()
            return
        self._opened()

    def _opened(self) -> None:
        self._ready = True
        self._events.append(Connected(self._session_present))
        self._ring.wake()

    def _on_disconnect(
        self, client: Client, userdata: object, flags: Any, reason: Any, properties: object
    ) -> None:
        if not self._answered and self._connection == 0 and not self._closing:
            # Old brokers answer an MQTT 5 CONNECT by closing the connection.
            self._protocol = (
                MQTTProtocolVersion.MQTTv311
                if self._protocol == MQTTProtocolVersion.MQTTv5
                else MQTTProtocolVersion.MQTTv5
            )
        if not self._closing:
            self._lost("broker_disconnected", str(reason))

    def _on_message(self, client: Client, userdata: object, message: MQTTMessage) -> None:
        # An exception here would end the network loop: enqueue, and nothing else.
        try:
            topic = message.topic
        except UnicodeDecodeError:
            topic = "(topic that is not UTF-8)"
        token = Token(self._connection, message.mid) if message.qos else None
        if token is not None:
            self._received += 1
        self._ring.put(
            Delivery(token, topic, bytes(message.payload), monotonic(), message.retain, message.dup)
        )

    def _lost(self, kind: str, detail: str) -> None:
        self._ready = False
        if len(self._events) < 100:
            self._events.append(Trouble(kind, detail))

    def _wake(self) -> None:
        with contextlib.suppress(BlockingIOError, OSError):
            os.write(self._wake_write, b"\0")

    def _pause(self, seconds: float) -> None:
        """Wait, unless somebody closes us."""
        until_s = monotonic() + seconds
        while not self._closing and (left := until_s - monotonic()) > 0:
            select.select([self._wake_read], [], [], left)
            _drain(self._wake_read)


def _drain(descriptor: int) -> None:
    with contextlib.suppress(BlockingIOError):
        while len(os.read(descriptor, 4096)) == 4096:
            pass


def _nothing(*_: object) -> None:
    """Mark the client as driven by an event loop."""
