"""A cable between two parts that a test can cut, hold, reset or slow down."""

from __future__ import annotations

import contextlib
import selectors
import socket
import struct
import threading
from collections.abc import Callable
from typing import Self

from core.clock import monotonic

RESET_ON_CLOSE = struct.pack("ii", 1, 0)
CHUNK_BYTES = 65_536
MOST_HELD_BYTES = 262_144

Judge = Callable[[bytes], str]
"""Looks at bytes on their way upstream; answers "pass", "cut" (drop them, reset) or "cut_after" (deliver, reset)."""


class _Pair:
    """One connection through the proxy, with what is under way in both directions."""

    def __init__(self, near: socket.socket, far: socket.socket) -> None:
        self.near, self.far = near, far
        self.to_far, self.to_near = bytearray(), bytearray()
        self.due_s = 0.0
        self.doomed = False

    def close(self, *, reset: bool) -> None:
        for end in (self.near, self.far):
            with contextlib.suppress(OSError):
                if reset:
                    end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_ON_CLOSE)
                end.close()


class TcpProxy:
    """Forwards from a port of its own to ``target``; one thread serves all connections."""

    def __init__(self, target: tuple[str, int]) -> None:
        self.target = target
        self.refusing = False
        self.delay_s = 0.0
        self.judge: Judge | None = None
        self.held = False
        self.accepted = 0
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=1_000)
        self._listener.setblocking(False)
        self._pairs: list[_Pair] = []
        self._orders: list[Callable[[], None]] = []
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="tcp-proxy", daemon=True)
        self._thread.start()

    @property
    def port(self) -> int:
        return int(self._listener.getsockname()[1])

    def cut(self, *, reset: bool = True) -> None:
        """End every connection now; new ones are let through."""

        def end_all() -> None:
            for pair in list(self._pairs):
                self._end(pair, reset=reset)

        self._order(end_all)

    def refuse(self) -> None:
        """End every connection and refuse new ones, until ``heal``."""
        self.refusing = True
        self.cut()

    def hold(self) -> None:
        """Forward nothing and say nothing, as a network that swallows packets does."""
        self.held = True

    def heal(self, *, drop: bool = False) -> None:
        """Forward again; with ``drop``, connections that were held end instead."""
        if drop:
            self.cut()
        self.refusing, self.held, self.delay_s, self.judge = False, False, 0.0, None

    def close(self) -> None:
        self._stop.set()
        self._thread.join(timeout=5)
        self._listener.close()
        for pair in self._pairs:
            pair.close(reset=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _order(self, work: Callable[[], object]) -> None:
        done = threading.Event()

        def order() -> None:
            work()
            done.set()

        with self._lock:
            self._orders.append(order)
        done.wait(5)

    def _end(self, pair: _Pair, *, reset: bool = True) -> None:
        pair.close(reset=reset)
        if pair in self._pairs:
            self._pairs.remove(pair)

    def _run(self) -> None:
        while not self._stop.is_set():
            with self._lock:
                orders, self._orders = self._orders, []
            for order in orders:
                order()
            with selectors.DefaultSelector() as selector:
                selector.register(self._listener, selectors.EVENT_READ)
                for pair in self._pairs:
                    self._watch(selector, pair)
                for key, mask in selector.select(0.01 if self.held or self.delay_s else 0.02):
                    if key.data is None:
                        self._accept()
                    elif key.data in self._pairs:
                        self._serve(key.data, key.fileobj, mask)

    def _watch(self, selector: selectors.BaseSelector, pair: _Pair) -> None:
        if self.held:
            return
        late = monotonic() < pair.due_s
        for end, out, back in ((pair.near, pair.to_near, pair.to_far), (pair.far, pair.to_far, pair.to_near)):
            mask = selectors.EVENT_READ if len(back) < MOST_HELD_BYTES else 0
            if out and not late:
                mask |= selectors.EVENT_WRITE
            if mask:
                selector.register(end, mask, pair)

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            near, _ = self._listener.accept()
            self.accepted += 1
            try:
                if self.refusing:
                    raise ConnectionRefusedError
                far = socket.create_connection(self.target, timeout=2)
            except OSError:
                near.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_ON_CLOSE)
                near.close()
                return
            for end in (near, far):
                end.setblocking(False)
                end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._pairs.append(_Pair(near, far))

    def _serve(self, pair: _Pair, end: object, mask: int) -> None:
        upstream = end is pair.near
        sock = pair.near if upstream else pair.far
        try:
            if mask & selectors.EVENT_READ:
                data = sock.recv(CHUNK_BYTES)
                if not data:
                    self._end(pair, reset=False)
                    return
                if upstream and self.judge is not None and self._judged(pair, data):
                    return
                if self.delay_s and not (pair.to_far or pair.to_near):
                    pair.due_s = monotonic() + self.delay_s
                (pair.to_far if upstream else pair.to_near).extend(data)
            out = pair.to_near if upstream else pair.to_far
            if mask & selectors.EVENT_WRITE and out:
                del out[: sock.send(out)]
        except BlockingIOError:
            return
        except OSError:
            self._end(pair)

    def _judged(self, pair: _Pair, data: bytes) -> bool:
        """Let the judge speak; true when the connection is over."""
        assert self.judge is not None
        verdict = self.judge(data)
        if verdict == "pass":
            return False
        if verdict == "cut_after":
            pair.far.setblocking(True)
            pair.far.sendall(bytes(pair.to_far) + data)
            # Closed in good order: a reset would discard what the server has not read yet.
            pair.far.shutdown(socket.SHUT_WR)
        self._end(pair, reset=verdict != "cut_after")
        return True
