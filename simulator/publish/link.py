"""One connection to the broker: a device, or one account that speaks for many.

What is not acknowledged stays in paho's hands and is sent again after a reconnect, with the same bytes.
Only a PUBACK of 0x00 (or one of MQTT 3.1.1, which has no reasons) counts: 0x10 means that nobody was
subscribed and the broker threw the message away, 0x87 that we may not publish there.
"""

from __future__ import annotations

import random
import socket
from collections import deque
from collections.abc import Callable
from typing import Any

import msgspec
import paho.mqtt.client as mqtt
from paho.mqtt.enums import MQTTProtocolVersion

from core import topics
from core.wire import VERSION
from simulator.domain import Credential
from simulator.publish.broker import KEEPALIVE_S, BrokerAddress, new_client
from simulator.publish.obeying import Obedience
from simulator.publish.packing import Shipment

IN_FLIGHT = 20
IN_FLIGHT_FOR_ALL = 1_000  # one account that speaks for a fleet
MOST_IN_FLIGHT = 65_535  # what a broker that says nothing allows
FIRST_RETRY_S, LONGEST_RETRY_S = 0.1, 5.0
CONNECT_PATIENCE_S = 20.0
ACCEPTED = 0x00

Verdict = Callable[["Link", Shipment, int], None]


class Link:
    """Drives one paho client from an event loop outside."""

    def __init__(
        self,
        address: BrokerAddress,
        protocol: MQTTProtocolVersion,
        account: Credential,
        shards: dict[str, int],
        rng: random.Random,
        on_verdict: Verdict,
        on_lost: Callable[[Link], None],
    ) -> None:
        self.account, self.shards = account, shards
        self.backlog: deque[Shipment] = deque()
        self.in_flight: dict[int, Shipment] = {}
        self.ready = False
        self.refused: str | None = None  # why the broker does not let us in
        self.connecting_since: float | None = None
        self.retry_at = 0.0
        self.wants_write = False
        self.closing: Any = None  # the socket that is about to be closed
        self._address, self._rng = address, rng
        self._on_verdict, self._on_lost = on_verdict, on_lost
        self._failures = 0
        self._most = self._window = IN_FLIGHT
        self._statuses: set[int] = set()
        self.obedience = Obedience(account.device_id)
        if account.device_id not in shards:
            self._most = IN_FLIGHT_FOR_ALL
        client = new_client(address, protocol, account.username, account.username, account.password)
        client.max_inflight_messages_set(IN_FLIGHT_FOR_ALL)
        client.on_connect = self._connected
        client.on_disconnect = self._disconnected
        client.on_publish = self._published
        client.on_message = self._asked
        client.on_socket_close = self._socket_closes
        client.on_socket_register_write = self._register_write
        client.on_socket_unregister_write = self._unregister_write
        self.speaks_for_itself = account.device_id in shards
        if self.speaks_for_itself:
            client.will_set(self._topic("status"), self._status(online=False), qos=1, retain=True)
        self._client: Any = client

    @property
    def sock(self) -> Any:
        """Return the open socket, None when there is none."""
        return self._client.socket()

    @property
    def reports_waiting(self) -> int:
        """Return how many reports are kept here without an acknowledgement."""
        kept = sum(len(shipment.reports) for shipment in self.backlog)
        return kept + sum(len(shipment.reports) for shipment in self.in_flight.values())

    def connect(self, now_s: float) -> bool:
        """Open the connection; false when nobody listens (tried again later)."""
        self.connecting_since = now_s
        try:
            self._client.connect(self._address.host, self._address.port, KEEPALIVE_S)
        except OSError:
            self.give_up_connecting(now_s)
            return False
        return True

    def give_up_connecting(self, now_s: float) -> None:
        """Plan the next try, a little later each time, never all devices at once."""
        self.connecting_since = None
        self._failures += 1
        pause_s = min(LONGEST_RETRY_S, FIRST_RETRY_S * 2 ** min(self._failures, 8))
        self.retry_at = now_s + pause_s * self._rng.uniform(0.5, 1.5)

    def pump(self) -> None:
        """Hand as many messages to paho as may be under way."""
        while self.ready and self.backlog and len(self.in_flight) < self._window:
            shipment = self.backlog.popleft()
            topic = topics.build(self.shards[shipment.device_id], shipment.device_id, shipment.kind)
            info = self._client.publish(topic, shipment.payload(), qos=1)
            if info.rc == mqtt.MQTT_ERR_QUEUE_SIZE:
                self.backlog.appendleft(shipment)
                return
            self.in_flight[info.mid] = shipment

    def read(self) -> None:
        """Take what the broker sent."""
        self._client.loop_read()

    def write(self) -> None:
        """Send what paho has ready."""
        self._client.loop_write()

    def tend(self) -> None:
        """Keep the connection alive, or notice that it is not."""
        self._client.loop_misc()

    def say_goodbye(self) -> None:
        """Say that the device goes offline on purpose; `close` follows."""
        if self.ready and self.speaks_for_itself:
            self._statuses.add(
                self._client.publish(self._topic("status"), self._status(online=False), 1, True).mid
            )

    @property
    def statuses_pending(self) -> bool:
        """Whether a status message is not acknowledged yet."""
        return bool(self._statuses) and self.ready

    def close(self) -> None:
        """End the connection; the last will stays unsaid."""
        if self._client.socket() is not None:
            self._client.disconnect()
            self._client.loop_write()
        self.ready = False

    def drop(self) -> None:
        """Lose the connection without a word, as in a tunnel."""
        sock = self._client.socket()
        if sock is not None:
            sock.shutdown(socket.SHUT_RDWR)
            self._client.loop_read()

    # ------------------------------------------------------------------ what paho calls

    def _connected(self, _client: Any, _userdata: Any, _flags: Any, reason: Any, properties: Any) -> None:
        self.connecting_since = None
        if reason.is_failure:
            self.refused = str(reason)
            return
        self.refused, self._failures = None, 0
        self.ready = True
        self._window = min(self._most, getattr(properties, "ReceiveMaximum", MOST_IN_FLIGHT))
        if self.speaks_for_itself:
            self._client.subscribe(self._topic("cmd"), qos=1)
            self._statuses.clear()
            self._statuses.add(
                self._client.publish(self._topic("status"), self._status(online=True), 1, True).mid
            )

    def _disconnected(self, *_: Any) -> None:
        self.ready = False

    def _published(self, _client: Any, _userdata: Any, mid: int, reason: Any, _properties: Any) -> None:
        self._statuses.discard(mid)
        shipment = self.in_flight.pop(mid, None)
        if shipment is not None:
            self._on_verdict(self, shipment, int(reason.value))

    def _socket_closes(self, _client: Any, _userdata: Any, sock: Any) -> None:
        self.ready = self.wants_write = False
        self.closing = sock
        self._on_lost(self)

    def _register_write(self, *_: Any) -> None:
        self.wants_write = True

    def _unregister_write(self, *_: Any) -> None:
        self.wants_write = False

    def _asked(self, _client: Any, _userdata: Any, message: Any) -> None:
        for answer in self.obedience.answers(message.payload):
            self._client.publish(self._topic("cmdack"), answer, qos=1)

    def _topic(self, kind: str) -> str:
        device_id = self.account.device_id
        return topics.build(self.shards[device_id], device_id, kind)

    def _status(self, *, online: bool) -> bytes:
        return msgspec.json.encode({"v": VERSION, "device_id": self.account.device_id, "online": online})
