"""The socket under a session: one system call reads many packets, one sends many answers."""

from __future__ import annotations

import contextlib
import socket
import ssl
from typing import TYPE_CHECKING

from core.clock import monotonic

if TYPE_CHECKING:
    from ingest.mqtt.address import Address

CHUNK_BYTES = 256 * 1024
LINGER_S = 1.0
_NOT_NOW = (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError)


def open_stream(address: Address, timeout_s: float) -> Stream:
    """Connect, and shake hands where TLS is wanted.

    Raises:
        OSError: nobody there, or nobody to be trusted (ssl.SSLError is one).
    """
    sock = socket.create_connection((address.host, address.port), timeout=timeout_s)
    try:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if address.tls:
            sock = ssl.create_default_context().wrap_socket(sock, server_hostname=address.host)
    except BaseException:
        sock.close()
        raise
    return Stream(sock)


class Stream:
    """A connected socket. What was read and not understood yet stays in front of what is read next."""

    def __init__(self, sock: socket.socket) -> None:
        sock.setblocking(False)
        self._sock = sock
        self._buffer = bytearray(CHUNK_BYTES)
        self._view = memoryview(self._buffer)
        self._filled = 0
        self.ended: str | None = None
        """Why there will be no more to read."""
        self.more = False
        """Whether the buffer was full before the network was empty."""

    def fileno(self) -> int:
        """Return the descriptor to poll."""
        return self._sock.fileno()

    def read(self) -> int:
        """Read what the network has, as far as there is room; return how many bytes that is."""
        capacity = len(self._buffer)
        before = self._filled
        self.more = False
        while True:
            if self._filled == capacity:
                self.more = True
                break
            try:
                count = self._sock.recv_into(self._view[self._filled :])
            except _NOT_NOW:
                break
            except OSError as exc:
                self.ended = f"{type(exc).__name__}: {exc}"
                break
            if not count:
                self.ended = "The broker closed the connection"
                break
            self._filled += count
            if not isinstance(self._sock, ssl.SSLSocket):
                # One call has emptied a plain socket; TLS gives at most one record at a time.
                break
        return self._filled - before

    @property
    def filled(self) -> int:
        """Return how many bytes were read and not dropped."""
        return self._filled

    def content(self) -> bytes:
        """Return everything read and not dropped."""
        return bytes(self._view[: self._filled])

    def drop(self, data: bytes, used: int, needed: int) -> None:
        """Forget the first ``used`` bytes of ``data`` and make room for a packet of ``needed`` bytes."""
        left = len(data) - used
        capacity = max(CHUNK_BYTES, needed)
        if capacity != len(self._buffer):
            self._view.release()
            self._buffer = bytearray(capacity)
            self._view = memoryview(self._buffer)
        self._view[:left] = data[used:]
        self._filled = left

    def send(self, out: bytearray) -> bool:
        """Send as much of ``out`` as the network takes now, and cut it off; false when nothing left.

        Raises:
            OSError: the connection is gone.
        """
        sent = 0
        while out:
            try:
                count = self._sock.send(out)
            except _NOT_NOW:
                break
            del out[:count]
            sent += count
        return sent > 0

    def finish(self, out: bytearray) -> None:
        """Send the rest, let the broker read it to the end, and close.

        A socket closed over unread bytes resets the connection, and acknowledgements on their way with it.
        """
        with contextlib.suppress(OSError):
            self._sock.settimeout(LINGER_S)
            self._sock.sendall(out)
            self._sock.shutdown(socket.SHUT_WR)
            until_s = monotonic() + LINGER_S
            while self._sock.recv_into(self._view) and monotonic() < until_s:
                pass
        self.close()

    def close(self) -> None:
        """Close at once."""
        with contextlib.suppress(OSError):
            self._sock.close()
