"""A subscriber that remembers everything, to see what really went through the broker."""

import collections
import contextlib
import hashlib

import msgspec
import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion

from core.wire import split_payload


class Listener:
    """Subscribes as ingest; `copies` counts reports by the fingerprint of their bytes."""

    def __init__(self, broker, session="listener"):
        self.copies: collections.Counter[str] = collections.Counter()
        self.order: dict[str, list[int]] = collections.defaultdict(list)
        self.statuses: dict[str, list[bool]] = collections.defaultdict(list)
        self.largest_array = 0
        self._subscribed = False
        self._client = mqtt.Client(
            CallbackAPIVersion.VERSION2, client_id=session, protocol=MQTTProtocolVersion.MQTTv311,
            clean_session=False,
        )  # fmt: skip
        self._client.username_pw_set("ingest", broker.ingest_password)
        self._client.on_connect = self._on_connect
        self._client.on_subscribe = self._on_subscribe
        self._client.on_message = self._on_message
        self._client.reconnect_delay_set(1, 1)
        self._client.connect(broker.host, broker.port)
        self._client.loop_start()

    @property
    def subscribed(self):
        return self._subscribed

    def _on_connect(self, client, _userdata, flags, *_):
        self.session_present = flags.session_present
        client.subscribe("pw/v1/#", qos=1)

    def _on_subscribe(self, *_):
        self._subscribed = True

    def _on_message(self, _client, _userdata, message):
        if message.retain:
            return  # left on the shared broker by a test before this one
        *_, device_id, kind = message.topic.split("/")
        if kind == "status":
            self.statuses[device_id].append(msgspec.json.decode(message.payload)["online"])
            return
        items = split_payload(message.payload)
        self.largest_array = max(self.largest_array, len(items))
        for item in items:
            self.copies[hashlib.sha256(item).hexdigest()] += 1
            self.order[device_id].append(msgspec.json.decode(item)["seq"])

    def close(self):
        with contextlib.suppress(OSError):
            self._client.disconnect()
        self._client.loop_stop()
