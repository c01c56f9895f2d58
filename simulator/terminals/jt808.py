"""A JT/T 808 terminal, 2013 or 2019: an encoder of its own, and a client that repeats what nobody answered.

Written from the tables of the standard, apart from ingest/gateways/jt808.
"""

from __future__ import annotations

import contextlib
import itertools
import socket
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from typing import NamedTuple

from core.clock import monotonic
from core.errors import Unavailable

CHINA = timezone(timedelta(hours=8))
SOCKET_TIMEOUT_S = 2.0
TURN_S = 0.5
IN_FLIGHT = 8


class Said(NamedTuple):
    """A message of the platform."""

    msg_id: int
    serial: int
    body: bytes


def bcd(digits: str, length: int) -> bytes:
    """Return decimal digits packed two to a byte, with zeros in front."""
    padded = digits.rjust(2 * length, "0")
    return bytes(int(high) << 4 | int(low) for high, low in zip(padded[::2], padded[1::2], strict=True))


def frame(
    msg_id: int,
    number: str,
    serial: int,
    body: bytes = b"",
    *,
    version: int | None = None,
    packet: tuple[int, int] | None = None,
    attributes: int = 0,
) -> bytes:
    """Return a whole frame; ``packet`` is (total, index)."""
    attributes |= len(body)
    if packet is not None:
        attributes |= 1 << 13
    head = msg_id.to_bytes(2, "big")
    if version is None:
        head += attributes.to_bytes(2, "big") + bcd(number, 6)
    else:
        head += (attributes | 1 << 14).to_bytes(2, "big") + bytes([version]) + bcd(number, 10)
    head += serial.to_bytes(2, "big")
    if packet is not None:
        head += packet[0].to_bytes(2, "big") + packet[1].to_bytes(2, "big")
    return wrap(head + body)


def wrap(content: bytes) -> bytes:
    """Return content with checksum, escapes and flags."""
    check = 0
    for byte in content:
        check ^= byte
    written = bytearray([0x7E])
    for byte in [*content, check]:
        written += {0x7E: b"\x7d\x02", 0x7D: b"\x7d\x01"}.get(byte, bytes([byte]))
    written.append(0x7E)
    return bytes(written)


def location(
    moment: datetime | None,
    lat: float = 31.230416,
    lon: float = 121.473701,
    *,
    alarm: int = 0,
    status: int = 0b11,
    speed_kmh: float = 0.0,
    heading_deg: int = 0,
    altitude_m: int = 0,
    items: Iterable[tuple[int, bytes]] = (),
) -> bytes:
    """Return the body of a location report; the time is written as China's, None as zeros."""
    status |= (lat < 0) << 2 | (lon < 0) << 3
    clock = "000000000000" if moment is None else moment.astimezone(CHINA).strftime("%y%m%d%H%M%S")
    body = alarm.to_bytes(4, "big") + status.to_bytes(4, "big")
    body += round(abs(lat) * 1e6).to_bytes(4, "big") + round(abs(lon) * 1e6).to_bytes(4, "big")
    body += altitude_m.to_bytes(2, "big") + round(speed_kmh * 10).to_bytes(2, "big")
    body += heading_deg.to_bytes(2, "big") + bcd(clock, 6)
    return body + b"".join(bytes([id, len(value)]) + value for id, value in items)


def bulk(bodies: Sequence[bytes], *, blind_zone: bool) -> bytes:
    """Return the body of a bulk upload (0x0704)."""
    parts = b"".join(len(body).to_bytes(2, "big") + body for body in bodies)
    return len(bodies).to_bytes(2, "big") + bytes([blind_zone]) + parts


def registration(
    *,
    manufacturer: str = "PWSIM",
    model: str = "SIM-808",
    terminal_id: str = "SIM0001",
    plate: str = "京A12345",
    version: int | None = None,
) -> bytes:
    """Return the body of a registration (0x0100)."""
    lengths = (5, 20, 7) if version is None else (11, 30, 30)
    texts = (manufacturer, model, terminal_id)
    fields = b"".join(
        text.encode("gbk").ljust(size, b"\0") for text, size in zip(texts, lengths, strict=True)
    )
    return b"\x00\x1f\x00\x73" + fields + b"\x01" + plate.encode("gbk")


def unwrap(content: bytes, version: int | None) -> Said:
    """Return the message of a frame's content (between the flags, still escaped)."""
    opened = content.replace(b"\x7d\x02", b"\x7e").replace(b"\x7d\x01", b"\x7d")
    start = 12 if version is None else 17
    return Said(
        int.from_bytes(opened[:2], "big"), int.from_bytes(opened[start - 2 : start], "big"), opened[start:-1]
    )


@dataclass
class Terminal:
    """One terminal and, at times, its connection."""

    host: str
    port: int
    number: str
    version: int | None = None
    code: str | None = None
    terminal_id: str = "SIM0001"
    said: list[Said] = field(default_factory=list)
    _socket: socket.socket | None = None
    _rest: bytes = b""
    _serials: itertools.count[int] = field(default_factory=itertools.count)

    def connect(self) -> None:
        """Open a connection, ending an older one."""
        self.hang_up()
        self._socket = socket.create_connection((self.host, self.port), timeout=SOCKET_TIMEOUT_S)
        self._rest = b""

    def hang_up(self) -> None:
        """End the connection."""
        if self._socket is not None:
            with contextlib.suppress(OSError):
                self._socket.close()
            self._socket = None

    def send(self, msg_id: int, body: bytes = b"", *, packet: tuple[int, int] | None = None) -> int:
        """Send a message and return its serial number."""
        serial = next(self._serials) & 0xFFFF
        self.send_raw(frame(msg_id, self.number, serial, body, version=self.version, packet=packet))
        return serial

    def send_raw(self, data: bytes) -> None:
        """Send bytes as they are."""
        if self._socket is None:
            raise Unavailable("Terminal: not connected", code="not_connected")
        self._socket.sendall(data)

    def hear(self, within_s: float = SOCKET_TIMEOUT_S) -> Said | None:
        """Return the next message of the platform, None when there is none in time.

        Raises:
            Unavailable: the platform ended the connection.
        """
        until_s = monotonic() + within_s
        while True:
            _noise, flag, rest = self._rest.partition(b"\x7e")
            content, end, beyond = rest.partition(b"\x7e")
            if flag and end:
                if not content:
                    self._rest = b"\x7e" + beyond
                    continue
                self._rest = beyond
                heard = unwrap(content, self.version)
                self.said.append(heard)
                return heard
            if not self._read(until_s - monotonic()):
                return None

    def answer_to(self, serial: int, msg_id: int, within_s: float = SOCKET_TIMEOUT_S) -> int | None:
        """Return the result of the general answer to a message, None when none comes in time."""
        wanted = serial.to_bytes(2, "big") + msg_id.to_bytes(2, "big")
        until_s = monotonic() + within_s
        while (left_s := until_s - monotonic()) > 0:
            heard = self.hear(left_s)
            if heard is not None and heard.msg_id == 0x8001 and heard.body[:4] == wanted:
                return heard.body[4]
        return None

    def register(self) -> int | None:
        """Register; keeps the code and returns the result."""
        body = registration(terminal_id=self.terminal_id, version=self.version)
        serial = self.send(0x0100, body)
        while (heard := self.hear()) is not None:
            if heard.msg_id == 0x8100 and heard.body[:2] == serial.to_bytes(2, "big"):
                if heard.body[2] == 0:
                    self.code = heard.body[3:].decode("gbk")
                return heard.body[2]
        return None

    def sign_in(self) -> int | None:
        """Authenticate with the code; returns the result."""
        code = (self.code or "none").encode("gbk")
        if self.version is not None:
            code = bytes([len(code)]) + code + b"860000000000001" + b"1.0".ljust(20, b"\0")
        return self.answer_to(self.send(0x0102, code), 0x0102)

    def enter(self) -> bool:
        """Connect, register when there is no code yet, and sign in."""
        self.connect()
        if self.code is None and self.register() != 0:
            return False
        return self.sign_in() == 0

    def deliver(self, bodies: Sequence[bytes], within_s: float) -> list[bytes]:
        """Send reports until each was answered, over as many connections as it takes; returns what was not.

        What was sent without an answer before a connection ended goes out again as a bulk upload.
        """
        until_s = monotonic() + within_s
        fresh, waiting = list(bodies), dict[int, list[bytes]]()
        blind: list[bytes] = []
        connected = False
        while (fresh or waiting or blind) and monotonic() < until_s:
            try:
                if not connected:
                    blind += [body for group in waiting.values() for body in group]
                    waiting.clear()
                    connected = self.enter()
                if blind:
                    waiting[self.send(0x0704, bulk(blind[:10], blind_zone=True))] = blind[:10]
                    del blind[:10]
                while fresh and len(waiting) < IN_FLIGHT:
                    waiting[self.send(0x0200, fresh[0])] = [fresh[0]]
                    del fresh[0]
                self._settle(waiting)
            except (OSError, Unavailable):
                connected = False
                self.hang_up()
                self._rest_a_moment()
        return [*fresh, *blind, *(body for group in waiting.values() for body in group)]

    def _settle(self, waiting: dict[int, list[bytes]]) -> None:
        heard = self.hear(TURN_S)
        while heard is not None:
            if heard.msg_id == 0x8001 and heard.body[4] == 0:
                waiting.pop(int.from_bytes(heard.body[:2], "big"), None)
            heard = self.hear(0.01) if waiting else None

    def _rest_a_moment(self) -> None:
        quiet, other = socket.socketpair()
        with quiet, other, contextlib.suppress(TimeoutError):
            quiet.settimeout(0.1)
            quiet.recv(1)

    def _read(self, left_s: float) -> bool:
        """Read once; false when nothing came in time."""
        if self._socket is None:
            raise Unavailable("Terminal: not connected", code="not_connected")
        if left_s <= 0:
            return False
        self._socket.settimeout(left_s)
        try:
            data = self._socket.recv(65_536)
        except TimeoutError:
            return False
        if not data:
            raise Unavailable("Terminal: the platform ended the connection", code="hung_up")
        self._rest += data
        return True
