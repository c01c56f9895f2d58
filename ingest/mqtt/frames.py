"""Cuts what was read into packets; PUBLISH becomes a delivery on the spot, because it is nearly all there is.

The only loop that runs once per message on the network thread: what it does not do there
(decode a topic seen before, read properties that are not there, call a function) is its point.
"""

from __future__ import annotations

from typing import NamedTuple

from ingest.domain import Delivery, Token
from ingest.mqtt.properties import TOPIC_ALIAS, decode_properties
from ingest.mqtt.reasons import PACKET_TOO_LARGE, QOS_NOT_SUPPORTED, TOPIC_ALIAS_INVALID
from ingest.mqtt.wire import Malformed, decode_varint

PACKET_LIMIT_BYTES = 4 * 1024 * 1024
"""Far above what the broker lets devices send (deploy/mosquitto: 72 KiB). It is not told to the broker:
a broker discards what is larger than its client said, and reports success to whoever sent it."""
TOPICS_REMEMBERED = 65_536
NOT_UTF8 = "(topic that is not UTF-8)"


class Frame(NamedTuple):
    """A packet other than PUBLISH."""

    kind: int
    flags: int
    body: bytes


class FrameCutter:
    """Of one connection. ``needed``: bytes that must be there before it is worth trying again."""

    def __init__(self, connection: int, *, v5: bool, limit: int = PACKET_LIMIT_BYTES) -> None:
        self._connection = connection
        self._v5 = v5
        self._limit = limit
        self._topics: dict[bytes, str] = {}
        self.needed = 2

    def cut(  # noqa: C901 - one loop without calls is what makes it cheap
        self, data: bytes, at: int, arrived_s: float, deliveries: list[Delivery]
    ) -> tuple[int, Frame | None]:
        """Append deliveries up to the next packet of another kind, or to where ``data`` breaks off.

        Returns where it stopped, and that other packet (call again) or None (read more).

        Raises:
            Malformed: no MQTT, or more than we take; deliveries before it are appended.
        """
        end = len(data)
        connection, v5, topics, append = self._connection, self._v5, self._topics, deliveries.append
        while True:
            if at + 2 > end:
                self.needed = 2
                return at, None
            first = data[at]
            length = data[at + 1]
            body = at + 2
            if length > 0x7F:
                sized = decode_varint(data, at + 1, end)
                if sized is None:
                    self.needed = end - at + 1
                    return at, None
                length, body = sized
                if length > self._limit:
                    raise Malformed(
                        f"Expected packets of at most {self._limit} bytes, was {length}", PACKET_TOO_LARGE
                    )
            stop = body + length
            if stop > end:
                self.needed = stop - at
                return at, None
            if first & 0xF0 != 0x30:
                return stop, Frame(first >> 4, first & 0x0F, data[body:stop])

            qos = first & 0x06
            after = body + 2
            if after <= stop:
                after += (data[body] << 8) | data[body + 1]
            fixed = after + (2 if qos else 0) + v5
            if fixed > stop or after == body + 2:
                raise Malformed("Expected a topic in a PUBLISH, was cut off or empty")
            raw_topic = data[body + 2 : after]
            topic = topics.get(raw_topic)
            if topic is None:
                topic = self._learn(raw_topic)
            token = None
            if qos:
                if qos != 0x02:
                    raise Malformed("Expected QoS 0 or 1, was a higher one", QOS_NOT_SUPPORTED)
                mid = (data[after] << 8) | data[after + 1]
                if not mid:
                    raise Malformed("Expected a packet id, was 0")
                token = Token(connection, mid)
            if v5 and data[fixed - 1]:
                fixed = _skip_properties(data, fixed - 1, stop)
            append(Delivery(token, topic, data[fixed:stop], arrived_s, first & 1 == 1, first & 8 == 8))
            at = stop

    def _learn(self, raw: bytes) -> str:
        try:
            topic = raw.decode()
        except UnicodeDecodeError:
            return NOT_UTF8
        if len(self._topics) >= TOPICS_REMEMBERED:
            self._topics.clear()
        self._topics[raw] = topic
        return topic


def _skip_properties(data: bytes, at: int, end: int) -> int:
    found, at = decode_properties(data, at, end)
    if TOPIC_ALIAS in found:
        raise Malformed("Expected no topic alias, for we allowed none", TOPIC_ALIAS_INVALID)
    return at
