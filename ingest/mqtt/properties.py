"""Properties of MQTT 5 packets: those we send, and all that a broker may send (section 2.2.2)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ingest.mqtt.reasons import PROTOCOL_ERROR
from ingest.mqtt.wire import (
    Malformed,
    decode_binary,
    decode_number,
    decode_string,
    decode_varint,
    encode_varint,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

SESSION_EXPIRY = 0x11
SERVER_KEEP_ALIVE = 0x13
REASON_STRING = 0x1F
RECEIVE_MAXIMUM = 0x21
TOPIC_ALIAS = 0x23
MAXIMUM_PACKET_SIZE = 0x27
SUBSCRIPTION_IDENTIFIER = 0x0B
USER_PROPERTY = 0x26

_BYTE = {0x01, 0x17, 0x19, 0x24, 0x25, 0x28, 0x29, 0x2A}
_TWO_BYTES = {SERVER_KEEP_ALIVE, RECEIVE_MAXIMUM, 0x22, TOPIC_ALIAS}
_FOUR_BYTES = {0x02, SESSION_EXPIRY, 0x18, MAXIMUM_PACKET_SIZE}
_STRING = {0x03, 0x08, 0x12, 0x15, 0x1A, 0x1C, REASON_STRING}
_BINARY = {0x09, 0x16}
_REPEATABLE = {SUBSCRIPTION_IDENTIFIER, USER_PROPERTY}
_SIZE = dict.fromkeys(_BYTE, 1) | dict.fromkeys(_TWO_BYTES, 2) | dict.fromkeys(_FOUR_BYTES, 4)

Value = int | str | bytes | tuple[str, str]


def encode_properties(numbers: Mapping[int, int]) -> bytes:
    """Return a property block; we send numbers only."""
    body = b"".join(
        bytes((name,)) + value.to_bytes(_SIZE[name], "big") for name, value in sorted(numbers.items())
    )
    return encode_varint(len(body)) + body


def decode_properties(data: bytes, at: int, end: int) -> tuple[dict[int, Value], int]:
    """Return the properties (the last of a repeatable one) and where their block ends.

    Raises:
        Malformed: cut off, unknown, or twice.
    """
    sized = decode_varint(data, at, end)
    if sized is None:
        raise Malformed("Expected properties, was cut off before them")
    size, at = sized
    stop = at + size
    if stop > end:
        raise Malformed(f"Expected properties of {size} bytes, was cut off after {end - at}")
    found: dict[int, Value] = {}
    while at < stop:
        name = data[at]
        value, at = _decode_value(name, data, at + 1, stop)
        if name in found and name not in _REPEATABLE:
            raise Malformed(f"Expected property 0x{name:02x} once, was there twice", PROTOCOL_ERROR)
        found[name] = value
    return found, stop


def _decode_value(name: int, data: bytes, at: int, end: int) -> tuple[Value, int]:
    if name in _SIZE:
        return decode_number(data, at, end, _SIZE[name])
    if name in _STRING:
        return decode_string(data, at, end)
    if name in _BINARY:
        return decode_binary(data, at, end)
    if name == USER_PROPERTY:
        key, at = decode_string(data, at, end)
        value, at = decode_string(data, at, end)
        return (key, value), at
    if name == SUBSCRIPTION_IDENTIFIER:
        number = decode_varint(data, at, end)
        if number is None:
            raise Malformed("Expected a subscription identifier, was cut off")
        return number
    raise Malformed(f"Expected a property of MQTT 5, was 0x{name:02x}")
