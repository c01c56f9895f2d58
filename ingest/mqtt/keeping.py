"""A slot's connection that is kept up: the thread, the back-off, and what passes between it and the worker.

The network thread owns the connection; the worker's thread takes deliveries from the ring and hands
over acknowledgements and messages. How one connection is served is said by a subclass.
"""

from __future__ import annotations

import contextlib
import os
import random
import select
import threading
from abc import ABC, abstractmethod
from collections import deque
from typing import TYPE_CHECKING

import structlog

from core.clock import monotonic
from ingest.mqtt.address import parse_url
from ingest.mqtt.session import Wishes
from ingest.ring import Ring
from ingest.transport import Connected, Event, Trouble

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ingest.domain import Delivery, Token

RECEIVE_MAXIMUM = 4_096
"""Rate <= window / time to acknowledge: at 100 ms this allows 40,000 messages a second."""
SESSION_EXPIRY_S = 14 * 86_400
KEEPALIVE_S = 30.0
CONNECT_TIMEOUT_S = 5.0
BACKOFF_FIRST_S = 0.1
BACKOFF_MOST_S = 5.0
POLL_S = 0.25
MOST_EVENTS = 100

_log = structlog.get_logger("ingest")


class KeptConnection(ABC):
    """One slot's session. ``filters``: (topic filter, QoS); ``unwanted``: left from another layout."""

    def __init__(
        self,
        url: str,
        client_id: str,
        filters: Sequence[tuple[str, int]],
        *,
        unwanted: Sequence[str] = (),
        receive_maximum: int = RECEIVE_MAXIMUM,
        keepalive_s: float = KEEPALIVE_S,
    ) -> None:
        self._address = parse_url(url)
        self._wishes = Wishes(
            client_id, list(filters), list(unwanted), receive_maximum, SESSION_EXPIRY_S, keepalive_s
        )
        self._v5 = True
        self._ring = Ring()
        self._acks: deque[Sequence[Token]] = deque()
        self._outbox: deque[tuple[str, bytes]] = deque()
        self._events: deque[Event] = deque()
        self._closing = False
        self._end_session = False
        self._thread: threading.Thread | None = None
        self._wake_read, self._wake_write = os.pipe()
        os.set_blocking(self._wake_write, False)
        os.set_blocking(self._wake_read, False)
        self._connection = 0
        self._answerable = 0
        """The connection whose acknowledgements may be sent: between two connections, none."""
        self._ready = False
        self._received = 0
        self._acknowledged = 0

    @abstractmethod
    def _converse(self) -> None:
        """Connect, and serve the connection until it ends or ``_closing`` is set and all is sent."""

    # ------------------------------------------------------------------ called by the writer thread

    def connect(self) -> None:
        """Start the network thread."""
        self._thread = threading.Thread(target=self._run, name=self._wishes.client_id, daemon=True)
        self._thread.start()

    def recv_batch(self, *, most: int, most_bytes: int, flush_s: float, wait_s: float) -> list[Delivery]:
        """Return a batch; see ``IngestTransport``."""
        return self._ring.take(most=most, most_bytes=most_bytes, flush_s=flush_s, wait_s=wait_s)

    def ack(self, tokens: Sequence[Token]) -> None:
        """Hand over acknowledgements, in receive order."""
        self._acks.append(tokens)
        self._wake()

    def publish(self, topic: str, payload: bytes) -> bool:
        """Hand over a message for QoS 1; false while there is no session."""
        if not self._ready:
            return False
        self._outbox.append((topic, payload))
        self._wake()
        return True

    def events(self) -> list[Event]:
        """Return what happened since the last call."""
        happened = []
        while self._events:
            happened.append(self._events.popleft())
        return happened

    @property
    def window_used(self) -> int:
        """Return how many messages of this connection wait for acknowledgement."""
        return max(0, self._received - self._acknowledged)

    @property
    def connections(self) -> int:
        """Return how often a session was opened."""
        return self._connection

    @property
    def ready(self) -> bool:
        """Whether the session is open and subscribed."""
        return self._ready

    def close(self, *, end_session: bool = False) -> None:
        """Send what is pending, disconnect, stop the thread; ``end_session`` lets the broker forget it."""
        if self._closing:
            return
        self._end_session = end_session
        self._closing = True
        self._wake()
        if self._thread is not None:
            self._thread.join(timeout=CONNECT_TIMEOUT_S + 2)
            if self._thread.is_alive():
                return  # it still polls the pipe; the process is ending anyway
        os.close(self._wake_read)
        os.close(self._wake_write)

    # ------------------------------------------------------------------------ the network thread

    def _run(self) -> None:
        backoff_s = BACKOFF_FIRST_S
        while not self._closing:
            began_s = monotonic()
            try:
                self._converse()
            except (OSError, ValueError) as exc:
                self._lost("broker_unreachable", f"{type(exc).__name__}: {exc}")
            except Exception as exc:  # noqa: BLE001 - the thread must outlive whatever a packet does to the library
                _log.exception("transport_failed", client_id=self._wishes.client_id)
                self._lost("transport_failed", f"{type(exc).__name__}: {exc}")
            finally:
                self._ready = False
                self._answerable = 0
                self._outbox.clear()
            if monotonic() - began_s > BACKOFF_MOST_S:
                backoff_s = BACKOFF_FIRST_S
            if not self._closing:
                self._pause(backoff_s * random.uniform(0.5, 1.5))  # noqa: S311 - jitter, not a secret
            backoff_s = min(backoff_s * 2, BACKOFF_MOST_S)

    def _accepted(self, *, session_present: bool) -> None:
        """Begin to count a connection that the broker has accepted."""
        self._connection += 1
        self._answerable = self._connection
        self._received = self._acknowledged = 0
        if session_present:
            # What we hold unacknowledged comes again; without a session our copy may be the last one.
            self._ring.drop_before(self._connection)

    def _opened(self, *, session_present: bool) -> None:
        self._ready = True
        self._tell(Connected(session_present))
        self._ring.wake()

    def _lost(self, kind: str, detail: str) -> None:
        self._ready = False
        self._tell(Trouble(kind, detail))

    def _tell(self, event: Event) -> None:
        # A connection made is told in any case: without it nobody would notice that a session was lost.
        if len(self._events) < MOST_EVENTS or isinstance(event, Connected):
            self._events.append(event)

    def _wake(self) -> None:
        with contextlib.suppress(BlockingIOError, OSError):
            os.write(self._wake_write, b"\0")

    def _woken(self) -> None:
        with contextlib.suppress(BlockingIOError):
            while len(os.read(self._wake_read, 4096)) == 4096:
                pass

    def _pause(self, seconds: float) -> None:
        """Wait, unless somebody closes us."""
        until_s = monotonic() + seconds
        while not self._closing and (left := until_s - monotonic()) > 0:
            select.select([self._wake_read], [], [], left)
            self._woken()
