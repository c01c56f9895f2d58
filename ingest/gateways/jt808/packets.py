"""Long messages come in packets: put together, missing ones asked for, and nothing is kept for long."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from core.errors import Rejected

if TYPE_CHECKING:
    from ingest.gateways.jt808.header import Header

MOST_MESSAGES = 3
MOST_PACKETS = 128
MOST_BYTES = 96 * 1024
ASK_AFTER_S = 5.0
MOST_ASKED = 3
FORGET_AFTER_S = 60.0


class Whole(NamedTuple):
    """A message put together, and the serial number of each of its packets."""

    body: bytes
    serials: tuple[int, ...]


class Missing(NamedTuple):
    """Packets to ask for again (0x8003)."""

    header: Header
    first_serial: int
    indices: tuple[int, ...]


@dataclass(slots=True)
class _Parts:
    header: Header
    began_s: float
    heard_s: float
    asked: int = 0
    bodies: dict[int, bytes] = field(default_factory=dict)


class Reassembly:
    """The unfinished messages of one connection. Packets carry consecutive serial numbers."""

    __slots__ = ("_ask_after_s", "_bytes", "_open")

    def __init__(self, ask_after_s: float = ASK_AFTER_S) -> None:
        self._ask_after_s = ask_after_s
        self._open: dict[tuple[int, int, int], _Parts] = {}
        self._bytes = 0

    @property
    def held(self) -> int:
        """Return how many bytes wait for the rest of their message."""
        return self._bytes

    def add(self, header: Header, body: bytes, now_s: float) -> Whole | None:
        """Take a packet; return the message when it was the last one missing.

        Raises:
            Rejected: more packets, bytes or messages at once than a terminal may have open.
        """
        if header.total > MOST_PACKETS:
            raise Rejected(
                f"Expected at most {MOST_PACKETS} packets, was {header.total}", code="too_many_packets"
            )
        first = (header.serial - header.index + 1) & 0xFFFF
        key = (header.msg_id, header.total, first)
        parts = self._open.get(key)
        if parts is None:
            if len(self._open) >= MOST_MESSAGES:
                raise Rejected(
                    f"Expected at most {MOST_MESSAGES} unfinished messages", code="too_many_unfinished"
                )
            parts = self._open[key] = _Parts(header, now_s, now_s)
        if header.index not in parts.bodies:
            if self._bytes + len(body) > MOST_BYTES:
                raise Rejected(f"Expected at most {MOST_BYTES} bytes in packets", code="too_many_unfinished")
            parts.bodies[header.index] = body
            self._bytes += len(body)
        parts.heard_s = now_s
        if len(parts.bodies) < header.total:
            return None
        self._forget(key)
        whole = b"".join(parts.bodies[index] for index in range(1, header.total + 1))
        return Whole(whole, tuple((first + number) & 0xFFFF for number in range(header.total)))

    def tend(self, now_s: float) -> list[Missing]:
        """Return what to ask for again; forget messages that nobody finishes."""
        wanted = []
        for key, parts in list(self._open.items()):
            if now_s - parts.began_s > FORGET_AFTER_S:
                self._forget(key)
            elif now_s - parts.heard_s > self._ask_after_s and parts.asked < MOST_ASKED:
                parts.asked += 1
                parts.heard_s = now_s
                total = parts.header.total
                missing = tuple(index for index in range(1, total + 1) if index not in parts.bodies)
                wanted.append(Missing(parts.header, key[2], missing))
        return wanted

    def _forget(self, key: tuple[int, int, int]) -> None:
        parts = self._open.pop(key)
        self._bytes -= sum(map(len, parts.bodies.values()))
