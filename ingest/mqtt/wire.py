"""The primitive types of MQTT: variable byte integers, strings, binary data (MQTT 5, section 1.5)."""

from __future__ import annotations

from ingest.mqtt.reasons import MALFORMED_PACKET

MOST_REMAINING_BYTES = 268_435_455
MOST_STRING_BYTES = 65_535


class Malformed(Exception):
    """Bytes that are no MQTT. ``reason``: what a DISCONNECT says of it."""

    def __init__(self, detail: str, reason: int = MALFORMED_PACKET) -> None:
        super().__init__(detail)
        self.detail = detail
        self.reason = reason


def encode_varint(value: int) -> bytes:
    """Return 1 to 4 bytes, seven bits each, least significant first."""
    if not 0 <= value <= MOST_REMAINING_BYTES:
        raise ValueError(f"Expected 0 to {MOST_REMAINING_BYTES}, was {value}")
    out = bytearray()
    while True:
        value, digit = value >> 7, value & 0x7F
        if not value:
            out.append(digit)
            return bytes(out)
        out.append(digit | 0x80)


def decode_varint(data: bytes, at: int, end: int) -> tuple[int, int] | None:
    """Return the value and where it ends, or None when ``end`` comes before its last byte.

    Raises:
        Malformed: a fifth byte would follow.
    """
    value = shift = 0
    while at < end:
        digit = data[at]
        at += 1
        value |= (digit & 0x7F) << shift
        if digit < 0x80:
            return value, at
        shift += 7
        if shift == 28:
            raise Malformed("Expected a length of at most four bytes, was longer")
    return None


def encode_binary(value: bytes) -> bytes:
    """Return two bytes of length and the bytes."""
    if len(value) > MOST_STRING_BYTES:
        raise ValueError(f"Expected at most {MOST_STRING_BYTES} bytes, was {len(value)}")
    return len(value).to_bytes(2, "big") + value


def encode_string(value: str) -> bytes:
    """Return a string as UTF-8 with its length in front."""
    return encode_binary(value.encode())


def decode_number(data: bytes, at: int, end: int, size: int) -> tuple[int, int]:
    """Return a big-endian number of ``size`` bytes and where it ends."""
    stop = at + size
    if stop > end:
        raise Malformed(f"Expected a number of {size} bytes, was cut off")
    return int.from_bytes(data[at:stop], "big"), stop


def decode_binary(data: bytes, at: int, end: int) -> tuple[bytes, int]:
    """Return the bytes behind a length, and where they end."""
    size, at = decode_number(data, at, end, 2)
    stop = at + size
    if stop > end:
        raise Malformed(f"Expected {size} bytes, was cut off after {end - at}")
    return data[at:stop], stop


def decode_string(data: bytes, at: int, end: int) -> tuple[str, int]:
    """Return a string and where it ends."""
    raw, stop = decode_binary(data, at, end)
    try:
        return raw.decode(), stop
    except UnicodeDecodeError as exc:
        raise Malformed("Expected UTF-8 in a string, was something else") from exc
