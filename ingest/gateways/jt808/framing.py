"""Frames on a byte stream: flags, escapes, checksum (JT/T 808 4.4).

``7e | header, body, XOR of both | 7e``; inside, 7e is written 7d 02 and 7d is written 7d 01.
A Framer never holds more than one frame's worth of bytes, whatever the peer sends.
"""

from __future__ import annotations

from functools import reduce
from operator import xor

FLAG, ESCAPE = 0x7E, 0x7D
_FLAG = bytes([FLAG])
_ESCAPE = bytes([ESCAPE])
_ESCAPED = {0x01: ESCAPE, 0x02: FLAG}
LONGEST_CONTENT = 21 + 1023 + 1
"""Bytes of the longest frame without escapes: 2019 header with packet item, body, checksum."""
LONGEST_ESCAPED = 2 * LONGEST_CONTENT
SHORTEST_CONTENT = 12 + 1


class Framer:
    """Cuts a stream into frames; what is no frame is counted and dropped."""

    __slots__ = ("_overlong", "_partial", "_started", "bad", "noise")

    def __init__(self) -> None:
        self._partial = bytearray()
        self._started = False
        self._overlong = False
        self.bad = 0
        """Frames refused: too long or short, a wrong escape, a wrong checksum."""
        self.noise = 0
        """Bytes before the first flag or past the longest frame: another protocol, or a scanner."""

    @property
    def held(self) -> int:
        """Return how many bytes wait for the rest of their frame."""
        return len(self._partial)

    def feed(self, data: bytes) -> list[bytes]:
        """Take bytes; return header and body of every frame that ended in them."""
        frames = []
        first, *others = data.split(_FLAG)
        self._keep(first)
        for piece in others:
            if self._started:
                content = self._end()
                if content is not None:
                    frames.append(content)
            self._started = True
            self._keep(piece)
        return frames

    def _keep(self, piece: bytes) -> None:
        if not self._started:
            self.noise += len(piece)
        elif self._overlong or len(self._partial) + len(piece) > LONGEST_ESCAPED:
            self._overlong = True
            self.noise += len(self._partial) + len(piece)
            self._partial.clear()
        else:
            self._partial += piece

    def _end(self) -> bytes | None:
        content, overlong = bytes(self._partial), self._overlong
        self._partial.clear()
        self._overlong = False
        if not content and not overlong:
            return None  # two flags in a row: the end of one frame and the start of the next
        opened = None if overlong else unescape(content)
        if opened is None or len(opened) < SHORTEST_CONTENT or reduce(xor, opened):
            self.bad += 1
            return None
        return opened[:-1]


def unescape(content: bytes) -> bytes | None:
    """Undo the escapes; None when 7d is followed by anything but 01 or 02."""
    if _ESCAPE not in content:
        return content
    first, *others = content.split(_ESCAPE)
    opened = bytearray(first)
    for piece in others:
        original = _ESCAPED.get(piece[0]) if piece else None
        if original is None:
            return None
        opened.append(original)
        opened += piece[1:]
    return bytes(opened)


def enclose(content: bytes) -> bytes:
    """Return the frame of header and body: checksum, escapes, flags."""
    whole = content + bytes([reduce(xor, content, 0)])
    return _FLAG + whole.replace(_ESCAPE, b"\x7d\x01").replace(_FLAG, b"\x7d\x02") + _FLAG
