"""The TCP side: connections that cost little, whoever is at the other end.

All connections read into one buffer of the process, and a frame's content is copied out of it, so a silent
or slow peer holds no more than the piece of a frame it has sent. One task looks after time for everybody.
"""

from __future__ import annotations

import asyncio
import contextlib
import resource
import socket
from collections import Counter
from typing import TYPE_CHECKING

import structlog

from core.clock import monotonic
from core.errors import Misconfigured
from ingest.gateways.jt808 import metrics
from ingest.gateways.jt808.framing import Framer
from ingest.gateways.jt808.session import Session

if TYPE_CHECKING:
    from ingest.gateways.jt808.hub import Hub

BACKLOG = 512
TEND_EVERY_S = 0.5
FILES_FOR_US = 64
KERNEL_READ_BYTES, KERNEL_WRITE_BYTES = 64 * 1024, 32 * 1024

_log = structlog.get_logger("jt808")


class Server:
    """Listens, and knows every connection."""

    def __init__(self, hub: Hub) -> None:
        self.hub = hub
        self.connections: dict[Connection, None] = {}
        self.strangers: dict[Connection, None] = {}
        self.scratch = bytearray(hub.limits.read_bytes)
        self._strangers_of: Counter[str] = Counter()
        self._most = min(hub.limits.connections, _most_files() - FILES_FOR_US)
        self._listener: asyncio.Server | None = None
        self._tending: asyncio.Task[None] | None = None

    async def listen(self, host: str, port: int) -> int:
        """Open the port and return it; 0 takes a free one."""
        loop = asyncio.get_running_loop()
        sock = _bound(host, port)
        self._listener = await loop.create_server(lambda: Connection(self), sock=sock, backlog=BACKLOG)
        self._tending = loop.create_task(self._tend())
        port = int(self._listener.sockets[0].getsockname()[1])
        _log.info("listening", host=host, port=port, most_connections=self._most)
        return port

    async def close(self) -> None:
        """Close the port and every connection."""
        if self._listener is not None:
            self._listener.close()
        if self._tending is not None:
            self._tending.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._tending
        for connection in list(self.connections):
            connection.close("shutdown")
        await asyncio.sleep(0)

    def admit(self, connection: Connection) -> str | None:
        """Let a stranger in; return why not, if not."""
        limits = self.hub.limits
        if len(self.connections) >= self._most:
            return "too_many"
        if self._strangers_of[connection.address] >= limits.strangers_per_address:
            return "too_many_of_address"
        if len(self.strangers) >= limits.strangers:
            next(iter(self.strangers)).close("too_many_strangers")
        self.connections[connection] = self.strangers[connection] = None
        self._strangers_of[connection.address] += 1
        return None

    def settle(self, connection: Connection) -> None:
        """Take a connection out of the strangers: it signed in, or ended."""
        if connection in self.strangers:
            del self.strangers[connection]
            self._strangers_of[connection.address] -= 1
            if not self._strangers_of[connection.address]:
                del self._strangers_of[connection.address]

    def remove(self, connection: Connection) -> None:
        """Forget a connection."""
        self.settle(connection)
        self.connections.pop(connection, None)

    async def _tend(self) -> None:
        while True:
            await asyncio.sleep(TEND_EVERY_S)
            now_s = monotonic()
            for connection in list(self.connections):
                connection.tend(now_s)
            metrics.CONNECTIONS.labels("stranger").set(len(self.strangers))
            metrics.CONNECTIONS.labels("terminal").set(len(self.connections) - len(self.strangers))


class Connection(asyncio.BufferedProtocol):
    """One peer: bytes to frames, frames to its session, and a hand on the brake."""

    def __init__(self, server: Server) -> None:
        self.address = ""
        self._server = server
        self._framer = Framer()
        self._transport: asyncio.Transport | None = None
        self._session: Session | None = None
        self._held = False
        self._stalled_s: float | None = None
        self._reason = "peer_closed"

    # ------------------------------------------------------------------ called by asyncio

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)  # noqa: S101 - TCP
        self._transport = transport
        self.address = str((transport.get_extra_info("peername") or ("",))[0])
        refused = self._server.admit(self)
        if refused is not None:
            self._reason = refused
            transport.abort()
            return
        transport.set_write_buffer_limits(high=self._server.hub.limits.write_high_bytes)
        self._session = Session(self._server.hub, self)

    def get_buffer(self, sizehint: int) -> bytearray:
        return self._server.scratch

    def buffer_updated(self, nbytes: int) -> None:
        session = self._session
        if session is None:
            return
        bad_before = self._framer.bad
        contents = self._framer.feed(bytes(self._server.scratch[:nbytes]))
        if self._framer.bad > bad_before:
            metrics.BAD_FRAMES.inc(self._framer.bad - bad_before)
        for content in contents:
            if self._transport is None:
                return
            session.receive(content)
        if session.terminal is not None:
            self._server.settle(self)
        self._judge(stranger=session.terminal is None)

    def pause_writing(self) -> None:
        self._stalled_s = monotonic()
        self._brake()

    def resume_writing(self) -> None:
        self._stalled_s = None
        self._brake()

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        self._server.remove(self)
        metrics.CLOSED.labels(self._reason).inc()
        if self._session is not None:
            self._session.ended()
            if self._reason != "peer_closed" and self._session.terminal is not None:
                _log.info(
                    "terminal_sent_away", device_id=self._session.terminal.device_id, reason=self._reason
                )

    # ------------------------------------------------------------------ called by the session and the server

    def send(self, data: bytes) -> None:
        if self._transport is not None:
            self._transport.write(data)

    def hold(self, held: bool) -> None:
        self._held = held
        self._brake()

    def close(self, reason: str) -> None:
        """End the connection. What the peer has not read by now it does not get: nothing lingers."""
        transport = self._transport
        if transport is None:
            return
        self._reason = reason
        self._transport = None
        self._server.remove(self)
        if transport.get_write_buffer_size():
            transport.abort()
        else:
            transport.close()

    def tend(self, now_s: float) -> None:
        """Look at the clock."""
        if self._session is None:
            return
        reason = self._session.tend(now_s)
        if self._stalled_s is not None and now_s - self._stalled_s > self._server.hub.limits.write_stall_s:
            reason = "does_not_read"
        if reason is not None:
            self.close(reason)

    def _judge(self, *, stranger: bool) -> None:
        """Send away who does not speak the language."""
        limits = self._server.hub.limits
        most = limits.stranger_bad_frames if stranger else limits.bad_frames
        if self._framer.bad > most or self._framer.noise > limits.stranger_noise_bytes:
            self.close("not_jt808")

    def _brake(self) -> None:
        """Read only while there is room, and while the peer reads what we say."""
        if self._transport is None or self._transport.is_closing():
            return
        if self._held or self._stalled_s is not None:
            self._transport.pause_reading()
        else:
            self._transport.resume_reading()


def _bound(host: str, port: int) -> socket.socket:
    """Bind a socket whose connections also cost the kernel little: it would give each megabytes."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        sock = socket.socket(family, kind, protocol)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, KERNEL_READ_BYTES)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, KERNEL_WRITE_BYTES)
        sock.bind(address)
    except OSError as exc:
        raise Misconfigured(
            f"JT/T 808: expected to listen on {host}:{port} (PLEDGEWATCH_JT808_HOST, _PORT): {exc.strerror}",
            code="port_unusable",
        ) from exc
    return sock


def _most_files() -> int:
    """Return how many files this process may have open, after asking for all it can get."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        with contextlib.suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
            soft = hard
    return soft if soft > 0 else 1 << 20
