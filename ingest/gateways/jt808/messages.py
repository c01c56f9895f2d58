"""Bodies of messages, decoded and encoded; numbers are big-endian, texts GBK (JT/T 808 8)."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, NamedTuple

from core.errors import Rejected

if TYPE_CHECKING:
    from collections.abc import Sequence

TERMINAL_ANSWER = 0x0001
HEARTBEAT = 0x0002
UNREGISTER = 0x0003
REGISTER = 0x0100
AUTHENTICATE = 0x0102
LOCATION = 0x0200
LOCATION_ANSWER = 0x0201
LOCATIONS = 0x0704

PLATFORM_ANSWER = 0x8001
RESEND_PACKETS = 0x8003
REGISTER_ANSWER = 0x8100
SET_PARAMETERS = 0x8103
CONTROL = 0x8105
ASK_LOCATION = 0x8201
TRACK = 0x8202

OK, FAILED, BAD_MESSAGE, UNSUPPORTED = 0, 1, 2, 3
"""Results of a general answer, either way."""
REGISTERED, TERMINAL_TAKEN, TERMINAL_UNKNOWN = 0, 3, 4
"""Results of a registration that we give."""
BLIND_ZONE = 1
CONTROL_RESET = 4
MOST_RESENT = 125
MOST_CODE_BYTES = 255

# (manufacturer, model, terminal id) lengths after the two area words; 2011 bodies are shorter than 2013's.
_FIELDS_2011, _FIELDS_2013, _FIELDS_2019 = (5, 8, 7), (5, 20, 7), (11, 30, 30)
_SHORTEST_2013 = 4 + sum(_FIELDS_2013) + 1


class Registration(NamedTuple):
    """Who a terminal says it is."""

    manufacturer: str
    model: str
    terminal_id: str
    plate: str


class Authentication(NamedTuple):
    """The code that registration gave; a 2019 terminal adds its IMEI and firmware."""

    code: str
    imei: str = ""
    firmware: str = ""


class TerminalAnswer(NamedTuple):
    """What a terminal says to one of our messages."""

    serial: int
    msg_id: int
    result: int


class Batch(NamedTuple):
    """Location bodies of a bulk upload; ``damaged``: the rest could not be cut."""

    bodies: tuple[bytes, ...]
    blind_zone: bool
    damaged: bool


def text(raw: bytes) -> str:
    """Return a GBK text up to its NUL, without padding; what is not GBK becomes U+FFFD."""
    return raw.split(b"\0", 1)[0].decode("gbk", "replace").strip()


def decode_registration(body: bytes, *, is_2019: bool) -> Registration:
    """Decode 0x0100.

    Raises:
        Rejected: shorter than its fields.
    """
    lengths = _FIELDS_2019 if is_2019 else _FIELDS_2013
    if not is_2019 and len(body) < _SHORTEST_2013:
        lengths = _FIELDS_2011
    shortest = 4 + sum(lengths) + 1
    if len(body) < shortest:
        raise Rejected(f"Expected a registration of at least {shortest} bytes, was {len(body)}", code="short")
    at, fields = 4, []
    for length in lengths:
        fields.append(_padded(body[at : at + length]))
        at += length
    manufacturer, model, terminal_id = fields
    return Registration(manufacturer, model, terminal_id, plate=text(body[at + 1 :]))


def _padded(raw: bytes) -> str:
    """Return a field that may be padded with NUL or spaces on either side; no database keeps NUL as text."""
    return raw.strip(b"\0 ").decode("gbk", "replace").replace("\0", "\ufffd")


def decode_authentication(body: bytes, *, is_2019: bool) -> Authentication:
    """Decode 0x0102.

    Raises:
        Rejected: no code, or shorter than it says.
    """
    imei = firmware = ""
    code = body
    if is_2019:
        length = body[0] if body else 0
        if len(body) < 1 + length:
            raise Rejected(f"Expected a code of {length} bytes, was {len(body) - 1}", code="short")
        code = body[1 : 1 + length]
        imei, firmware = text(body[1 + length : 16 + length]), text(body[16 + length : 36 + length])
    decoded = text(code)
    if not decoded or len(code) > MOST_CODE_BYTES:
        raise Rejected(f"Expected a code of 1 to {MOST_CODE_BYTES} bytes, was {len(code)}", code="bad_code")
    return Authentication(decoded, imei, firmware)


def decode_answer(body: bytes) -> TerminalAnswer:
    """Decode 0x0001.

    Raises:
        Rejected: shorter than five bytes.
    """
    if len(body) < 5:
        raise Rejected(f"Expected an answer of 5 bytes, was {len(body)}", code="short")
    return TerminalAnswer(*struct.unpack_from(">HHB", body))


def decode_batch(body: bytes) -> Batch:
    """Cut 0x0704 into its location bodies; what comes before the damage is kept.

    Raises:
        Rejected: shorter than its own head.
    """
    if len(body) < 3:
        raise Rejected(f"Expected a bulk upload of at least 3 bytes, was {len(body)}", code="short")
    count, kind = struct.unpack_from(">HB", body)
    bodies: list[bytes] = []
    at = 3
    while len(bodies) < count and at + 2 <= len(body):
        (length,) = struct.unpack_from(">H", body, at)
        if at + 2 + length > len(body):
            break
        bodies.append(body[at + 2 : at + 2 + length])
        at += 2 + length
    return Batch(tuple(bodies), kind == BLIND_ZONE, damaged=len(bodies) != count or at != len(body))


def encode_answer(serial: int, msg_id: int, result: int) -> bytes:
    """Encode 0x8001."""
    return struct.pack(">HHB", serial, msg_id, result)


def encode_registered(serial: int, result: int, code: str = "") -> bytes:
    """Encode 0x8100; the code goes with success alone."""
    return struct.pack(">HB", serial, result) + code.encode("gbk")


def encode_resend(first_serial: int, indices: Sequence[int], *, is_2019: bool) -> bytes:
    """Encode 0x8003; its count is a byte in 2013, a word in 2019."""
    some = indices[:MOST_RESENT]
    count = struct.pack(">H" if is_2019 else ">B", len(some))
    return struct.pack(">H", first_serial) + count + struct.pack(f">{len(some)}H", *some)


def encode_track(interval_s: int, valid_s: int) -> bytes:
    """Encode 0x8202; an interval of 0 ends tracking and stands alone."""
    if interval_s == 0:
        return struct.pack(">H", 0)
    return struct.pack(">HI", interval_s, valid_s)


def encode_parameters(values: Sequence[tuple[int, int]]) -> bytes:
    """Encode 0x8103 with (parameter id, DWORD value) pairs."""
    return bytes([len(values)]) + b"".join(struct.pack(">IBI", id, 4, value) for id, value in values)
