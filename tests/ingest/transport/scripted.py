"""A broker that does what a test says, byte by byte; its own small encoder, so that no mistake is shared."""

from __future__ import annotations

import contextlib
import random
import socket
import ssl
from collections.abc import Iterator
from typing import Any, NamedTuple

import pytest

from core.clock import monotonic
from ingest.mqtt.fast_transport import FastTransport
from ingest.mqtt.keeping import KeptConnection
from ingest.paho_transport import PahoTransport
from ingest.transport import Connected, Trouble
from tests.fix_stack import eventually

BOTH = pytest.mark.parametrize("transport_kind", [FastTransport, PahoTransport], ids=["fast", "paho"])
TAKE: dict[str, Any] = {"most": 10_000, "most_bytes": 1 << 24, "flush_s": 0.0, "wait_s": 0.2}
WAIT_S = 20.0

CONNECT, CONNACK, PUBLISH, PUBACK, SUBSCRIBE, SUBACK, UNSUBSCRIBE, PINGREQ, DISCONNECT = (
    1, 2, 3, 4, 8, 9, 10, 12, 14,
)  # fmt: skip


class Packet(NamedTuple):
    kind: int
    flags: int
    body: bytes


def length(value: int) -> bytes:
    digits = []
    while True:
        digits.append(value % 128 | (128 if value > 127 else 0))
        value //= 128
        if not value:
            return bytes(digits)


def packet(first: int, body: bytes) -> bytes:
    return bytes([first]) + length(len(body)) + body


def text(value: bytes) -> bytes:
    return len(value).to_bytes(2, "big") + value


def publish(
    topic: bytes,
    payload: bytes,
    mid: int | None = None,
    *,
    dup: bool = False,
    retain: bool = False,
    properties: bytes = b"",
    v5: bool = True,
) -> bytes:
    first = 0x30 | (0x02 if mid else 0) | (0x08 if dup else 0) | (0x01 if retain else 0)
    number = mid.to_bytes(2, "big") if mid else b""
    block = length(len(properties)) + properties if v5 else b""
    return packet(first, text(topic) + number + block + payload)


def connack(code: int = 0, *, present: bool = False, properties: bytes = b"", v5: bool = True) -> bytes:
    block = length(len(properties)) + properties if v5 else b""
    return packet(0x20, bytes([present, code]) + block)


class Line:
    """One accepted connection."""

    def __init__(self, sock: socket.socket) -> None:
        sock.settimeout(WAIT_S)
        self.sock = sock
        self.v5 = True
        self.seen: list[Packet] = []

    def _exactly(self, count: int) -> bytes:
        data = b""
        while len(data) < count:
            more = self.sock.recv(count - len(data))
            if not more:
                raise EOFError
            data += more
        return data

    def next(self) -> Packet:
        first = self._exactly(1)[0]
        size = shift = 0
        while True:
            digit = self._exactly(1)[0]
            size |= (digit & 127) << shift
            shift += 7
            if digit < 128:
                break
        found = Packet(first >> 4, first & 15, self._exactly(size))
        self.seen.append(found)
        return found

    def expect(self, kind: int) -> Packet:
        found = self.next()
        assert found.kind == kind, found
        return found

    def until_closed(self) -> list[Packet]:
        """Return what still comes until the client hangs up."""
        left = []
        with contextlib.suppress(EOFError, ConnectionError):
            while True:
                left.append(self.next())
        return left

    def greeted(self) -> Packet:
        """Read CONNECT and remember which version it speaks."""
        found = self.expect(CONNECT)
        self.v5 = found.body[6] == 5
        return found

    def subscribed(self, grant: int = 1) -> None:
        """Answer SUBSCRIBE for as many filters as it has."""
        body = self.expect(SUBSCRIBE).body
        at, filters = 3 if self.v5 else 2, 0
        while at < len(body):
            at += 2 + int.from_bytes(body[at : at + 2], "big") + 1
            filters += 1
        self.send(packet(0x90, body[:2] + (b"\0" if self.v5 else b"") + bytes([grant]) * filters))

    def welcome(self, *, present: bool = False, properties: bytes = b"") -> None:
        """Take the client in."""
        self.greeted()
        self.send(connack(present=present, properties=properties, v5=self.v5))
        self.subscribed()

    def send(self, data: bytes) -> None:
        self.sock.sendall(data)

    def send_in_pieces(self, data: bytes, seed: int, most: int) -> None:
        rng = random.Random(seed)
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        at = 0
        while at < len(data):
            size = rng.randint(1, most)
            self.send(data[at : at + size])
            at += size

    def acknowledged(self, count: int) -> list[int]:
        """Return the packet ids of the next PUBACKs, which must be nothing but success."""
        mids: list[int] = []
        while len(mids) < count:
            found = self.next()
            if found.kind == PINGREQ:
                self.send(b"\xd0\x00")
                continue
            assert found.kind == PUBACK, found
            assert found.body[2:] in {b"", b"\0"}, found
            mids.append(int.from_bytes(found.body[:2], "big"))
        return mids

    def close(self) -> None:
        self.sock.close()


class ScriptedBroker:
    """Listens on a free port of loopback."""

    def __init__(self, context: ssl.SSLContext | None = None, *, port: int = 0) -> None:
        self._listener = socket.create_server(("127.0.0.1", port))
        self._listener.settimeout(WAIT_S)
        self._context = context
        self.lines: list[Line] = []

    @property
    def port(self) -> int:
        return int(self._listener.getsockname()[1])

    @property
    def url(self) -> str:
        host = f"us%40er:pa%2Fss@localhost:{self.port}"
        return f"mqtts://{host}" if self._context else f"mqtt://{host}"

    def accept(self) -> Line:
        while True:
            sock, _ = self._listener.accept()
            if self._context is not None:
                sock.settimeout(WAIT_S)
                sock = self._context.wrap_socket(sock, server_side=True)
            line = Line(sock)
            self.lines.append(line)
            return line

    def close(self) -> None:
        for line in self.lines:
            line.close()
        self._listener.close()


@contextlib.contextmanager
def scripted(context: ssl.SSLContext | None = None) -> Iterator[ScriptedBroker]:
    broker = ScriptedBroker(context)
    try:
        yield broker
    finally:
        broker.close()


@contextlib.contextmanager
def connecting(
    transport_kind: type[KeptConnection], url: str, client_id: str = "slot", **options: Any
) -> Iterator[KeptConnection]:
    """A transport that has begun to connect."""
    transport = transport_kind(url, client_id, [("a/#", 1), ("b/+", 1)], **options)
    transport.connect()
    try:
        yield transport
    finally:
        transport.close()


@contextlib.contextmanager
def talking(
    transport_kind: type[KeptConnection], *, present: bool = False, **options: Any
) -> Iterator[tuple[ScriptedBroker, Line, KeptConnection]]:
    """A scripted broker and a transport that is connected to it."""
    with scripted() as broker, connecting(transport_kind, broker.url, **options) as transport:
        line = broker.accept()
        line.welcome(present=present)
        assert await_connected(transport).session_present is present
        yield broker, line, transport
        for each in broker.lines:
            each.close()


def await_connected(transport: KeptConnection) -> Connected:
    def connected() -> list[Connected]:
        return [event for event in transport.events() if isinstance(event, Connected)]

    return eventually(connected, what="a connection")[0]


def await_trouble(transport: KeptConnection) -> Trouble:
    def troubles() -> list[Trouble]:
        return [event for event in transport.events() if isinstance(event, Trouble)]

    return eventually(troubles, what="trouble")[0]


def take(transport: KeptConnection, count: int) -> list:
    """Return so many deliveries, and not one more."""
    got: list = []
    deadline = monotonic() + WAIT_S
    while len(got) < count and monotonic() < deadline:
        got.extend(transport.recv_batch(**TAKE))
    assert len(got) == count
    return got
