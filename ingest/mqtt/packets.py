"""The packets we send, as bytes."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

from ingest.mqtt.properties import RECEIVE_MAXIMUM, SESSION_EXPIRY, encode_properties
from ingest.mqtt.reasons import SUCCESS
from ingest.mqtt.wire import encode_binary, encode_string, encode_varint

if TYPE_CHECKING:
    from collections.abc import Sequence

CONNECT, CONNACK, PUBLISH, PUBACK = 1, 2, 3, 4
SUBSCRIBE, SUBACK, UNSUBSCRIBE, UNSUBACK = 8, 9, 10, 11
PINGRESP, DISCONNECT = 13, 14

PINGREQ_BYTES = b"\xc0\x00"
NO_PROPERTIES = b"\x00"
PUBACK_WORD = 0x4002_0000
"""PUBACK, two bytes to come, and room for the packet id: success needs no more in MQTT 5 either."""
_RETAINED_ONLY_WHEN_NEW = 0x10


def connect_packet(
    client_id: str,
    *,
    v5: bool,
    keepalive_s: int,
    session_expiry_s: int,
    receive_maximum: int,
    username: str | None = None,
    password: str | None = None,
) -> bytes:
    """Return CONNECT for a session that outlives the connection."""
    flags = 0  # never Clean Start: what the session holds is what we come for
    if username is not None:
        flags |= 0x80
    if password is not None:
        flags |= 0x40
    head = b"\x00\x04MQTT" + bytes((5 if v5 else 4, flags)) + keepalive_s.to_bytes(2, "big")
    if v5:
        head += encode_properties({SESSION_EXPIRY: session_expiry_s, RECEIVE_MAXIMUM: receive_maximum})
    body = head + encode_string(client_id)
    if username is not None:
        body += encode_string(username)
    if password is not None:
        body += encode_binary(password.encode())
    return _packet(CONNECT << 4, body)


def subscribe_packet(mid: int, filters: Sequence[tuple[str, int]], *, v5: bool) -> bytes:
    """Return SUBSCRIBE; retained messages come only for a subscription that is new (MQTT 5).

    Those of QoS 0 come each time: a session does not keep them, and what the broker counted meanwhile counts.
    """
    option = _RETAINED_ONLY_WHEN_NEW if v5 else 0
    wanted = b"".join(encode_string(topic) + bytes((qos | option if qos else 0,)) for topic, qos in filters)
    return _packet(SUBSCRIBE << 4 | 0x02, _numbered(mid, v5=v5) + wanted)


def unsubscribe_packet(mid: int, topics: Sequence[str], *, v5: bool) -> bytes:
    """Return UNSUBSCRIBE."""
    return _packet(UNSUBSCRIBE << 4 | 0x02, _numbered(mid, v5=v5) + b"".join(map(encode_string, topics)))


def publish_packet(topic: str, payload: bytes, *, v5: bool, mid: int | None = None) -> bytes:
    """Return PUBLISH: QoS 1 with a packet id, QoS 0 without."""
    first = PUBLISH << 4 | (0x00 if mid is None else 0x02)
    number = b"" if mid is None else mid.to_bytes(2, "big")
    return _packet(first, encode_string(topic) + number + (NO_PROPERTIES if v5 else b"") + payload)


def puback_packets(mids: Sequence[int]) -> bytes:
    """Return PUBACKs in this order, to leave in one send."""
    return struct.pack(f">{len(mids)}I", *[PUBACK_WORD | mid for mid in mids])


def disconnect_packet(*, v5: bool, reason: int = SUCCESS, end_session: bool = False) -> bytes:
    """Return DISCONNECT. MQTT 3.1.1 knows no reasons, and cannot end its session this way."""
    if not v5 or (reason == SUCCESS and not end_session):
        return _packet(DISCONNECT << 4, b"")
    return _packet(
        DISCONNECT << 4, bytes((reason,)) + encode_properties({SESSION_EXPIRY: 0} if end_session else {})
    )


def _numbered(mid: int, *, v5: bool) -> bytes:
    return mid.to_bytes(2, "big") + (NO_PROPERTIES if v5 else b"")


def _packet(first: int, body: bytes) -> bytes:
    return bytes((first,)) + encode_varint(len(body)) + body
