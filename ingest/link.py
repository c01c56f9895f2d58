"""A broker connection without a thread: publish messages, and learn what the broker did with each."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from paho.mqtt.client import MQTT_ERR_SUCCESS, Client
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from core.clock import monotonic
from ingest.mqtt.address import parse_url

KEEPALIVE_S = 30
CONNECT_TIMEOUT_S = 5.0
ANSWER_WITHIN_S = 10.0
MOST_IN_FLIGHT = 1_000
TAKEN = 0x00
"""MQTT 5: somebody is subscribed. 0x10 is an acknowledgement too, of a message that nobody was there for;
MQTT 3.1.1 cannot tell the two apart, so there a command counts as sent when the broker has it."""


class Letter(NamedTuple):
    """A message and for how long it is worth delivering (None: for ever)."""

    topic: str
    payload: bytes
    lasts_s: int | None = None


class Link:
    """Connected when needed; driven by the caller's thread alone."""

    def __init__(self, url: str, client_id: str) -> None:
        self._address = parse_url(url)
        self._client_id = client_id
        self._client: Client | None = None
        self._v5 = True
        self._let_in: list[bool] = []
        self._reasons: dict[int, int] = {}

    def publish(self, letters: Sequence[Letter]) -> list[int | None]:
        """Return the broker's reason code for each letter; None where it did not answer in time.

        Raises:
            OSError: nobody listens there, or the broker does not let us in.
        """
        self.tend()  # the broker may have hung up since: whoever publishes rarely does not hear of it
        client = self._connected()
        mids = [self._send(client, letter) for letter in letters]
        until_s = monotonic() + ANSWER_WITHIN_S
        while any(mid not in self._reasons for mid in mids) and monotonic() < until_s:
            if client.loop(0.1) != MQTT_ERR_SUCCESS:
                break
        answers = [self._reasons.pop(mid, None) for mid in mids]
        if None in answers:
            # On a new connection no late answer is taken for that of another letter with its number.
            self.close()
        return answers

    def tend(self) -> None:
        """Keep the connection alive, or notice that it is not."""
        if self._client is not None and self._client.loop(0) != MQTT_ERR_SUCCESS:
            self.close()

    def close(self) -> None:
        """Disconnect; the next letter connects again."""
        if self._client is not None:
            self._client.disconnect()
            self._client = None
        self._reasons.clear()

    def _send(self, client: Client, letter: Letter) -> int:
        if not self._v5 or letter.lasts_s is None:
            return client.publish(letter.topic, letter.payload, qos=1).mid
        properties = Properties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]
        # What waits in a sleeping device's session is not delivered after its time.
        properties.MessageExpiryInterval = max(1, letter.lasts_s)
        return client.publish(letter.topic, letter.payload, qos=1, properties=properties).mid

    def _connected(self) -> Client:
        if self._client is not None:
            return self._client
        for v5 in (self._v5, not self._v5):
            client = self._open(v5=v5)
            if client is not None:
                self._v5, self._client = v5, client
                return client
        raise OSError("the broker did not let us in")

    def _open(self, *, v5: bool) -> Client | None:
        client = Client(
            CallbackAPIVersion.VERSION2,
            client_id=self._client_id,
            protocol=MQTTProtocolVersion.MQTTv5 if v5 else MQTTProtocolVersion.MQTTv311,
            reconnect_on_failure=False,
        )
        client.connect_timeout = CONNECT_TIMEOUT_S
        client.max_inflight_messages_set(MOST_IN_FLIGHT)
        if self._address.username:
            client.username_pw_set(self._address.username, self._address.password)
        if self._address.tls:
            client.tls_set()
        client.on_connect = self._on_connect
        client.on_publish = self._on_publish
        self._let_in.clear()
        client.connect(self._address.host, self._address.port, KEEPALIVE_S)
        until_s = monotonic() + CONNECT_TIMEOUT_S
        while not self._let_in and monotonic() < until_s:
            if client.loop(0.1) != MQTT_ERR_SUCCESS:
                break
        if self._let_in == [True]:
            return client
        client.disconnect()
        return None

    def _on_connect(self, _client: Any, _data: Any, _flags: Any, reason: Any, _properties: Any) -> None:
        self._let_in.append(not reason.is_failure)

    def _on_publish(self, _client: Any, _data: Any, mid: int, reason: Any, _properties: Any) -> None:
        self._reasons[mid] = int(reason.value)
