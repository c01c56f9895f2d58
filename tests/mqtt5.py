"""MQTT over a bare socket, packet by packet: what a library would smooth over stays visible."""

from __future__ import annotations

import socket
import struct
from typing import NamedTuple, Self

from core.clock import monotonic

CONNACK, PUBLISH, PUBACK, SUBACK, PINGRESP, DISCONNECT = 2, 3, 4, 9, 13, 14
NO_MATCHING_SUBSCRIBERS = 0x10
SESSION_EXPIRY, RECEIVE_MAXIMUM = 0x11, 0x21


class Closed(Exception):
    """The broker ended the connection."""


class Message(NamedTuple):
    """A PUBLISH as it came."""

    mid: int
    topic: str
    payload: bytes
    redelivered: bool


class Wire:
    """One connection; every call is one packet."""

    def __init__(self, host: str, port: int, *, version: int = 5, patience_s: float = 5.0) -> None:
        self.version = version
        self._socket = socket.create_connection((host, port), timeout=patience_s)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._patience_s = patience_s
        self._buffer = bytearray()
        self._mid = 0
        self.session_present = False
        self.reasons: dict[int, int] = {}
        """Acknowledgements that came, by message id."""
        self.heard: list[Message] = []

    def connect(
        self,
        client_id: str,
        username: str | None = None,
        password: str | None = None,
        *,
        clean: bool = True,
        expiry_s: int = 0,
        receive_maximum: int = 0,
        keepalive_s: int = 60,
    ) -> int:
        """Send CONNECT and return the reason code of the answer."""
        flags = (0x02 if clean else 0) | (0x80 if username else 0) | (0x40 if password else 0)
        properties = struct.pack(">BI", SESSION_EXPIRY, expiry_s) if expiry_s else b""
        if receive_maximum:
            properties += struct.pack(">BH", RECEIVE_MAXIMUM, receive_maximum)
        body = text("MQTT") + bytes([self.version, flags]) + struct.pack(">H", keepalive_s)
        body += self._properties(properties) + text(client_id)
        body += b"".join(text(part) for part in (username, password) if part)
        self._send(0x10, body)
        kind, _, answer = self._await(CONNACK)
        assert kind == CONNACK
        self.session_present = bool(answer[0] & 1)
        return answer[1]

    def subscribe(self, *filters: str, qos: int = 1) -> list[int]:
        """Subscribe and return the granted QoS or refusal of each filter."""
        mid = self._next_mid()
        wanted = b"".join(text(name) + bytes([qos]) for name in filters)
        self._send(0x82, struct.pack(">H", mid) + self._properties(b"") + wanted)
        _, _, answer = self._await(SUBACK)
        return list(answer[-len(filters) :])

    def publish(self, topic: str, payload: bytes, *, qos: int = 1, mid: int = 0, dup: bool = False) -> int:
        """Send PUBLISH; returns its message id, 0 with QoS 0."""
        mid = (mid or self._next_mid()) if qos else 0
        number = struct.pack(">H", mid) if qos else b""
        self._send(
            0x30 | (qos << 1) | (8 if dup else 0), text(topic) + number + self._properties(b"") + payload
        )
        return mid

    def acknowledge(self, *mids: int) -> None:
        """Send a PUBACK for each."""
        self._socket.sendall(b"".join(b"\x40\x02" + struct.pack(">H", mid) for mid in mids))

    def listen(self, for_s: float, *, until: int | None = None) -> list[Message]:
        """Take what comes for a while, or until so many messages have been heard in all."""
        deadline_s = monotonic() + for_s
        while (until is None or len(self.heard) < until) and (left := deadline_s - monotonic()) > 0:
            self._take(left)
        return self.heard

    def settle(self, mids: list[int], within_s: float = 10.0) -> dict[int, int]:
        """Wait until each of these is acknowledged, and return the reasons."""
        deadline_s = monotonic() + within_s
        while not all(mid in self.reasons for mid in mids):
            assert monotonic() < deadline_s, f"{len(self.reasons)} of {len(mids)} acknowledged"
            self._take(0.2)
        return {mid: self.reasons[mid] for mid in mids}

    def ended(self, within_s: float = 5.0) -> bool:
        """Wait until the broker has closed the connection."""
        deadline_s = monotonic() + within_s
        try:
            while monotonic() < deadline_s:
                self._take(0.1)
        except (Closed, OSError):
            return True
        return False

    def leave(self) -> None:
        """Say goodbye; the session stays as CONNECT asked for."""
        self._send(0xE0, b"")
        self._socket.close()

    def cut(self) -> None:
        """Drop the connection without a word."""
        self._socket.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.cut()

    def take(self, wait_s: float) -> bool:
        """Read one packet; false when none came in time.

        Raises:
            Closed: the connection is gone.
        """
        return self._take(wait_s) is not None

    def _next_mid(self) -> int:
        self._mid = self._mid % 65_535 + 1
        return self._mid

    def _properties(self, encoded: bytes) -> bytes:
        return length(len(encoded)) + encoded if self.version == 5 else b""

    def _send(self, first: int, body: bytes) -> None:
        self._socket.settimeout(self._patience_s)
        self._socket.sendall(bytes([first]) + length(len(body)) + body)

    def _await(self, wanted: int) -> tuple[int, int, bytes]:
        deadline_s = monotonic() + self._patience_s
        while monotonic() < deadline_s:
            packet = self._take(deadline_s - monotonic())
            if packet is not None and packet[0] == wanted:
                return packet
        raise AssertionError(f"no packet of kind {wanted} within {self._patience_s} s")

    def _take(self, wait_s: float) -> tuple[int, int, bytes] | None:
        while (packet := self._parsed()) is None:
            self._socket.settimeout(max(wait_s, 0.001))
            try:
                data = self._socket.recv(262_144)
            except TimeoutError:
                return None
            except OSError as error:
                raise Closed(str(error)) from error
            if not data:
                raise Closed("end of stream")
            self._buffer += data
        kind, flags, body = packet
        if kind == PUBACK:
            self.reasons[struct.unpack_from(">H", body)[0]] = body[2] if len(body) > 2 else 0
        elif kind == PUBLISH:
            self.heard.append(self._message(flags, body))
        elif kind == DISCONNECT:
            raise Closed(f"DISCONNECT {body.hex()}")
        return packet

    def _parsed(self) -> tuple[int, int, bytes] | None:
        size, at, shift = 0, 1, 0
        while True:
            if at >= len(self._buffer):
                return None
            byte = self._buffer[at]
            size |= (byte & 0x7F) << shift
            at, shift = at + 1, shift + 7
            if not byte & 0x80:
                break
        if len(self._buffer) < at + size:
            return None
        first, body = self._buffer[0], bytes(self._buffer[at : at + size])
        del self._buffer[: at + size]
        return first >> 4, first & 0x0F, body

    def _message(self, flags: int, body: bytes) -> Message:
        size = struct.unpack_from(">H", body)[0]
        topic, at, mid = body[2 : 2 + size].decode(), 2 + size, 0
        if flags & 0x06:
            mid, at = struct.unpack_from(">H", body, at)[0], at + 2
        if self.version == 5:
            at += 1 + body[at]  # properties of what our brokers forward stay below 128 bytes
        return Message(mid, topic, body[at:], bool(flags & 0x08))


def text(value: str) -> bytes:
    """Return a string as MQTT writes it."""
    encoded = value.encode()
    return struct.pack(">H", len(encoded)) + encoded


def length(size: int) -> bytes:
    """Return a remaining length."""
    encoded = bytearray()
    while True:
        size, low = divmod(size, 128)
        encoded.append(low | (0x80 if size else 0))
        if not size:
            return bytes(encoded)
