"""A small MQTT client for tests: connects, publishes until acknowledged, keeps what it hears."""

from __future__ import annotations

import threading
from types import TracebackType
from typing import Any, Self

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion

from tests.fix_stack import eventually


class Talker:
    """One MQTT connection with a background thread."""

    def __init__(
        self,
        host: str,
        port: int,
        client_id: str,
        username: str | None = None,
        password: str | None = None,
        *,
        clean: bool = True,
        manual_ack: bool = False,
    ) -> None:
        self.heard: list[tuple[str, bytes]] = []
        self.connect_code: int | None = None
        self.session_present = False
        self.disconnects = 0
        self._acknowledged: set[int] = set()
        self._granted: dict[int, list[int]] = {}
        self._lock = threading.Lock()
        self._client = paho.Client(
            CallbackAPIVersion.VERSION2,
            client_id=client_id,
            clean_session=clean,
            protocol=paho.MQTTv311,
            manual_ack=manual_ack,
            reconnect_on_failure=False,
        )
        if username is not None:
            self._client.username_pw_set(username, password)
        self._client.max_inflight_messages_set(5_000)
        self._client.on_connect = self._on_connect
        self._client.on_disconnect = self._on_disconnect
        self._client.on_message = self._on_message
        self._client.on_publish = self._on_publish
        self._client.on_subscribe = self._on_subscribe
        self._client.connect(host, port, keepalive=30)
        self._client.loop_start()

    def _on_connect(self, client: Any, data: Any, flags: Any, reason: Any, properties: Any) -> None:
        self.session_present = flags.session_present
        self.connect_code = reason.value

    def _on_disconnect(self, client: Any, data: Any, flags: Any, reason: Any, properties: Any) -> None:
        self.disconnects += 1

    def _on_message(self, client: Any, data: Any, message: Any) -> None:
        with self._lock:
            self.heard.append((message.topic, message.payload))

    def _on_publish(self, client: Any, data: Any, mid: int, reason: Any, properties: Any) -> None:
        self._acknowledged.add(mid)

    def _on_subscribe(self, client: Any, data: Any, mid: int, reasons: Any, properties: Any) -> None:
        self._granted[mid] = [reason.value for reason in reasons]

    def connected(self) -> Self:
        """Wait for the broker's answer, which must be yes."""
        eventually(lambda: self.connect_code is not None, what="an answer to CONNECT")
        assert self.connect_code == 0, f"refused with {self.connect_code}"
        return self

    def refused(self) -> bool:
        """Wait for the broker's answer; true when it is no."""
        eventually(lambda: self.connect_code is not None or self.disconnects, what="an answer to CONNECT")
        return self.connect_code != 0

    def subscribe(self, topic: str) -> int:
        """Subscribe with QoS 1 and return the granted QoS (128: refused)."""
        _, mid = self._client.subscribe(topic, qos=1)
        assert mid is not None
        return eventually(lambda: self._granted.get(mid), what="SUBACK")[0]

    def send(self, topic: str, payload: bytes, *, retain: bool = False) -> int:
        """Publish with QoS 1 and return the message id without waiting."""
        return self._client.publish(topic, payload, qos=1, retain=retain).mid

    def publish(self, topic: str, payload: bytes, *, retain: bool = False) -> None:
        """Publish with QoS 1 and wait for the acknowledgement."""
        mid = self.send(topic, payload, retain=retain)
        eventually(lambda: mid in self._acknowledged, what=f"PUBACK for {topic}")

    def acknowledged(self, mid: int) -> bool:
        return mid in self._acknowledged

    def cut(self) -> None:
        """Drop the connection without DISCONNECT, as a dead network does."""
        socket = self._client.socket()
        if socket is not None:
            socket.close()
        self._client.loop_stop()

    def close(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
