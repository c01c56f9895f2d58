"""The transport in use: reads whole buffers, cuts them into deliveries, answers a batch in one send."""

from __future__ import annotations

import contextlib
import select
from typing import TYPE_CHECKING

from core.clock import monotonic
from ingest.mqtt.frames import FrameCutter
from ingest.mqtt.keeping import CONNECT_TIMEOUT_S, POLL_S, KeptConnection
from ingest.mqtt.session import Ended, Phase, Session
from ingest.mqtt.stream import open_stream
from ingest.mqtt.wire import Malformed
from ingest.transport import Trouble

if TYPE_CHECKING:
    from ingest.domain import Delivery
    from ingest.mqtt.frames import Frame
    from ingest.mqtt.stream import Stream

GATHER_S = 0.01
"""After a read we let the network gather before the next: under load a wake-up then serves many
messages, and a batch waits five times as long for its flush anyway."""
MOST_RING_BYTES = 64 * 1024 * 1024


class FastTransport(KeptConnection):
    """One slot's session over our own MQTT; see ``IngestTransport``."""

    _listening = True

    def recv_batch(self, *, most: int, most_bytes: int, flush_s: float, wait_s: float) -> list[Delivery]:
        """Return a batch; see ``IngestTransport``."""
        batch = super().recv_batch(most=most, most_bytes=most_bytes, flush_s=flush_s, wait_s=wait_s)
        if not self._listening:
            self._wake()
        return batch

    def _converse(self) -> None:
        stream = open_stream(self._address, CONNECT_TIMEOUT_S)
        session = Session(
            self._wishes, self._address.username, self._address.password, v5=self._v5, now_s=monotonic()
        )
        try:
            self._serve(stream, session)
        except Malformed as exc:
            self._part(stream, session, Ended("protocol_error", exc.detail, reason=exc.reason))
        except Ended as end:
            self._part(stream, session, end)
        finally:
            stream.close()

    def _serve(self, stream: Stream, session: Session) -> None:
        cutter = FrameCutter(self._connection + 1, v5=self._v5)
        descriptor = stream.fileno()
        poll = select.poll()
        poll.register(self._wake_read, select.POLLIN)
        poll.register(descriptor, select.POLLIN)
        watched = select.POLLIN
        read_again_s = 0.0
        while True:
            now_s = monotonic()
            listening = self._listening = self._has_room(session)
            nap_s = read_again_s - now_s
            watch = (select.POLLIN if listening and nap_s <= 0 else 0) | (
                select.POLLOUT if session.out else 0
            )
            if watch != watched:
                watched = watch
                poll.modify(descriptor, watch)
            wait_s = 0.0 if stream.more and listening else nap_s if nap_s > 0 else POLL_S
            ready = dict(poll.poll(wait_s * 1000))
            now_s = monotonic()
            if self._wake_read in ready:
                self._woken()
            state = ready.get(descriptor, 0) & ~select.POLLOUT
            if state and not listening:
                raise Ended("broker_disconnected", "The connection ended while nothing could be taken")
            gathered = 0 < read_again_s <= now_s and listening
            if state or gathered or (stream.more and listening):
                # What has gathered is read without asking poll; when it was nothing, poll waits for more.
                heard = self._read(stream, session, cutter, now_s)
                read_again_s = now_s + GATHER_S if heard and session.phase is Phase.OPEN else 0.0
            self._send_pending(session)
            session.tick(now_s, listening=listening)
            if self._closing and not self._acks and not self._outbox:
                session.farewell(end_session=self._end_session)
                stream.finish(session.out)
                return
            self._send(stream, session, now_s)

    def _has_room(self, session: Session) -> bool:
        """Whether there is room: the protocol's window sees to it, but MQTT 3.1.1 and QoS 0 have none."""
        ring = self._ring
        return session.phase is Phase.CONNECTING or (
            len(ring) < 2 * self._wishes.receive_maximum and ring.waiting_bytes < MOST_RING_BYTES
        )

    def _read(self, stream: Stream, session: Session, cutter: FrameCutter, now_s: float) -> bool:
        """Read and pass on what has come; false when it was nothing."""
        heard = stream.read() > 0
        if heard:
            session.heard(now_s)
        if heard and stream.filled >= cutter.needed:
            data = stream.content()
            at, frame = self._cut(cutter, session, data, 0, now_s)
            while frame is not None:
                before = session.phase
                session.handle(frame)
                if before is Phase.CONNECTING:
                    self._accepted(session_present=session.session_present)
                if session.phase is Phase.OPEN and before is not Phase.OPEN:
                    self._opened(session_present=session.session_present)
                at, frame = self._cut(cutter, session, data, at, now_s)
            stream.drop(data, at, cutter.needed)
        if stream.ended is not None:
            raise Ended("broker_disconnected", stream.ended)
        return heard

    def _cut(
        self, cutter: FrameCutter, session: Session, data: bytes, at: int, now_s: float
    ) -> tuple[int, Frame | None]:
        deliveries: list[Delivery] = []
        try:
            return cutter.cut(data, at, now_s, deliveries)
        finally:
            # What came whole before a packet that makes no sense has come.
            if deliveries:
                session.expect_accepted()
                self._received += sum([delivery.token is not None for delivery in deliveries])
                self._ring.put_all(deliveries)

    def _send_pending(self, session: Session) -> None:
        while self._acks:
            self._acknowledged += session.acknowledge(self._acks.popleft(), self._answerable)
        while self._outbox:
            session.publish(*self._outbox.popleft())
        if session.refused is not None:
            self._tell(Trouble("publish_refused", session.refused))
            session.refused = None

    @staticmethod
    def _send(stream: Stream, session: Session, now_s: float) -> None:
        if not session.out:
            return
        try:
            if stream.send(session.out):
                session.sent(now_s)
        except OSError as exc:
            raise Ended("broker_disconnected", f"{type(exc).__name__}: {exc}") from exc

    def _part(self, stream: Stream, session: Session, end: Ended) -> None:
        """Tell why it ended: the broker, if it still listens, and the worker."""
        if self._closing:
            return
        cut_off = session.phase is Phase.CONNECTING and stream.ended is not None
        if end.other_version or (cut_off and self._connection == 0):
            # Old brokers refuse an MQTT 5 CONNECT, or answer it by closing the connection.
            self._v5 = not self._v5
        self._lost(end.kind, end.detail)
        if end.reason is not None:
            session.farewell(end.reason)
            with contextlib.suppress(OSError):
                stream.send(session.out)
