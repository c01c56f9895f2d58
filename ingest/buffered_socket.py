"""A socket that paho can read byte by byte without a system call for each.

paho receives a packet in three or more ``recv`` calls and sends each acknowledgement by itself. Here
one system call fills a buffer that many packets are served from, and acknowledgements of a batch
leave together. Used by one thread alone.
"""

from __future__ import annotations

import contextlib
import ssl
from typing import Any

CHUNK_BYTES = 256 * 1024


class BufferedSocket:
    """Wraps a connected, non-blocking TCP or TLS socket."""

    def __init__(self, inner: Any) -> None:
        self._inner = inner
        self._in = b""
        self._at = 0
        self._ended = False
        self._out = bytearray()

    @property
    def available(self) -> bool:
        """Whether ``recv`` has something to say without the network: bytes, or the end."""
        return self._at < len(self._in) or self._ended

    @property
    def unsent(self) -> bool:
        """Whether bytes wait for ``flush``."""
        return bool(self._out)

    def fill(self) -> None:
        """Read what the network has; an end of stream is remembered for ``recv``."""
        pieces = [self._in[self._at :]] if self._at < len(self._in) else []
        while True:
            try:
                data = self._inner.recv(CHUNK_BYTES)
            except (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
                break
            except OSError:
                self._ended = True
                break
            if not data:
                self._ended = True
                break
            pieces.append(data)
            if len(data) < CHUNK_BYTES and not _pending(self._inner):
                break
            if len(pieces) > 4:
                break
        self._in = b"".join(pieces)
        self._at = 0

    def recv(self, size: int) -> bytes:
        """Serve buffered bytes; never touches the network."""
        start = self._at
        if start >= len(self._in):
            if self._ended:
                return b""
            raise BlockingIOError
        end = min(start + size, len(self._in))
        self._at = end
        return self._in[start:end]

    def send(self, data: bytes | bytearray) -> int:
        """Take bytes; ``flush`` sends them."""
        self._out += data
        return len(data)

    def flush(self) -> None:
        """Send what was taken, as far as the network allows now.

        Raises:
            OSError: the connection is gone.
        """
        while self._out:
            try:
                sent = self._inner.send(self._out)
            except (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
                return
            del self._out[:sent]

    def fileno(self) -> int:
        """Return the descriptor to poll."""
        number: int = self._inner.fileno()
        return number

    def setblocking(self, flag: bool) -> None:
        """Pass through."""
        self._inner.setblocking(flag)

    def close(self) -> None:
        """Send the rest (a DISCONNECT) and close."""
        with contextlib.suppress(OSError):
            self.flush()
        self._inner.close()


def _pending(inner: Any) -> int:
    """Return bytes that TLS has decrypted already, which poll cannot see."""
    return int(inner.pending()) if hasattr(inner, "pending") else 0
