"""The reference transport: MQTT by paho-mqtt 2, acknowledged by hand.

Callbacks only enqueue. There is no negative acknowledgement in MQTT: what is not acknowledged stays
in the session and comes again after a reconnect. `ingest/mqtt` does the same for less (ADR 16).
"""

from __future__ import annotations

import contextlib
import select
from typing import Any

from paho.mqtt.client import Client, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.subscribeoptions import SubscribeOptions

from core.clock import monotonic
from ingest.buffered_socket import BufferedSocket
from ingest.domain import Delivery, Token
from ingest.mqtt.keeping import CONNECT_TIMEOUT_S, POLL_S, SESSION_EXPIRY_S, KeptConnection

RETAIN_ONLY_WHEN_NEW = 1


class _Client(Client):
    """paho's client over our socket; everything else as it comes."""

    def _create_socket(self) -> Any:
        return BufferedSocket(super()._create_socket())


class PahoTransport(KeptConnection):
    """One slot's session over paho."""

    _session_present = False
    _answered = False

    def _converse(self) -> None:
        self._answered = False
        client = self._new_client()
        address = self._address
        keepalive_s = max(1, round(self._wishes.keepalive_s))
        try:
            client.connect(address.host, address.port, keepalive_s, **self._connect_arguments())
            self._serve(client)
        finally:
            sock = client.socket()
            if sock is not None:
                with contextlib.suppress(OSError):
                    sock.close()

    def _new_client(self) -> _Client:
        client = _Client(
            CallbackAPIVersion.VERSION2,
            client_id=self._wishes.client_id,
            protocol=MQTTProtocolVersion.MQTTv5 if self._v5 else MQTTProtocolVersion.MQTTv311,
            clean_session=None if self._v5 else False,
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
        if not self._v5:
            return {}
        properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
        properties.SessionExpiryInterval = SESSION_EXPIRY_S
        properties.ReceiveMaximum = self._wishes.receive_maximum
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
                    self._woken()
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
        if self._end_session and self._v5:
            properties = Properties(PacketTypes.DISCONNECT)  # type: ignore[no-untyped-call]
            properties.SessionExpiryInterval = 0
            client.disconnect(properties=properties)
        else:
            client.disconnect()

    def _send_pending(self, client: _Client) -> None:
        while self._acks:
            for token in self._acks.popleft():
                if token.connection == self._answerable:
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
                self._v5 = not self._v5
            return
        self._accepted(session_present=bool(flags.session_present))
        if self._wishes.unwanted:
            client.unsubscribe(list(self._wishes.unwanted))
        self._session_present = bool(flags.session_present)
        if not self._wishes.filters:
            self._opened(session_present=self._session_present)
        elif self._v5:
            options = [
                (topic, SubscribeOptions(qos=qos, retainHandling=RETAIN_ONLY_WHEN_NEW if qos else 0))
                for topic, qos in self._wishes.filters
            ]
            client.subscribe(options)
        else:
            client.subscribe(list(self._wishes.filters))

    def _on_subscribe(
        self, client: Client, userdata: object, mid: int, reasons: list[Any], properties: object
    ) -> None:
        refused = [
            topic
            for (topic, qos), reason in zip(self._wishes.filters, reasons, strict=True)
            if reason.value != qos
        ]
        if refused:
            self._lost("subscription_refused", f"{len(refused)} filters, first {refused[0]}")
            client.disconnect()
            return
        self._opened(session_present=self._session_present)

    def _on_disconnect(
        self, client: Client, userdata: object, flags: Any, reason: Any, properties: object
    ) -> None:
        if not self._answered and self._connection == 0 and not self._closing:
            # Old brokers answer an MQTT 5 CONNECT by closing the connection.
            self._v5 = not self._v5
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
        self._ring.put_all(
            [Delivery(token, topic, bytes(message.payload), monotonic(), message.retain, message.dup)]
        )


def _nothing(*_: object) -> None:
    """Mark the client as driven by an event loop."""
