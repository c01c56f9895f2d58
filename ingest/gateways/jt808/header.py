"""The header before every body, in its 2013 and 2019 forms (JT/T 808 4.4.3)."""

from __future__ import annotations

import struct
from dataclasses import dataclass

from core.errors import Rejected

LENGTH_MASK = 0x03FF
ENCRYPTION_MASK = 0x1C00
SUBPACKET_BIT = 0x2000
VERSION_BIT = 0x4000
NUMBER_BYTES_2013, NUMBER_BYTES_2019 = 6, 10
_PACKET_ITEM = struct.Struct(">HH")


@dataclass(frozen=True, slots=True)
class Header:
    """A parsed header. ``number`` is the terminal's, without leading zeros; ``address`` its bytes as sent."""

    msg_id: int
    address: bytes
    number: str
    serial: int
    version: int | None = None  # of the protocol, 2019 frames only
    encrypted: bool = False
    total: int = 1
    index: int = 1

    @property
    def is_2019(self) -> bool:
        return self.version is not None

    @property
    def is_packet(self) -> bool:
        """Whether the body is one of several packets."""
        return self.total > 1


def parse_header(content: bytes) -> tuple[Header, bytes]:
    """Take a frame's content apart into header and body.

    Raises:
        Rejected: too short, a length that disagrees, a terminal number that is not decimal, or a packet
            number outside its total (code ``bad_header``).
    """
    try:
        msg_id, properties = struct.unpack_from(">HH", content)
        at, version = 4, None
        digits = NUMBER_BYTES_2013
        if properties & VERSION_BIT:
            version, at, digits = content[4], 5, NUMBER_BYTES_2019
        address = content[at : at + digits]
        (serial,) = struct.unpack_from(">H", content, at + digits)
        at += digits + 2
        total = index = 1
        if properties & SUBPACKET_BIT:
            total, index = _PACKET_ITEM.unpack_from(content, at)
            at += _PACKET_ITEM.size
    except (struct.error, IndexError) as exc:
        raise Rejected(
            f"Expected a whole header, was {len(content)} bytes: {exc}", code="bad_header"
        ) from exc
    body = content[at:]
    length = properties & LENGTH_MASK
    if len(body) != length:
        raise Rejected(f"Expected a body of {length} bytes, was {len(body)}", code="bad_header")
    if not 1 <= index <= total:
        raise Rejected(f"Expected packet 1 to {total}, was {index}", code="bad_header")
    encrypted = bool(properties & ENCRYPTION_MASK)
    return Header(msg_id, address, terminal_number(address), serial, version, encrypted, total, index), body


def terminal_number(address: bytes) -> str:
    """Return the number of a BCD address without leading zeros.

    Raises:
        Rejected: a digit above 9, or nothing but zeros.
    """
    digits = address.hex()
    number = digits.lstrip("0")
    if not number or not digits.isdecimal():
        raise Rejected(f"Expected a decimal terminal number, was {digits}", code="bad_header")
    return number


def build_header(to: Header, msg_id: int, serial: int, length: int) -> bytes:
    """Return the header of a message to the terminal that sent ``to``, in the form it speaks."""
    if length > LENGTH_MASK:
        raise Rejected(f"Expected a body of at most {LENGTH_MASK} bytes, was {length}", code="body_too_long")
    if to.version is not None:
        return struct.pack(">HHB", msg_id, length | VERSION_BIT, to.version) + to.address + _word(serial)
    return struct.pack(">HH", msg_id, length) + to.address + _word(serial)


def _word(number: int) -> bytes:
    return struct.pack(">H", number & 0xFFFF)
