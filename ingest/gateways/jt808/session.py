"""The state of one connection: a stranger, who registers and signs in, then a terminal, who reports.

A report's answer (0x8001, success) is given when the broker has acknowledged it, and only then. A terminal
that gets none sends again, or keeps the report for its next bulk upload; the same body is the same report.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Protocol

import structlog

from core import topics
from core.clock import monotonic
from core.errors import Rejected, Unavailable
from core.topics import MAX_REPORTS_PER_MESSAGE
from ingest.gateways.jt808 import messages, metrics
from ingest.gateways.jt808.framing import enclose
from ingest.gateways.jt808.header import Header, build_header, parse_header
from ingest.gateways.jt808.orders import Orders
from ingest.gateways.jt808.packets import Reassembly
from ingest.gateways.jt808.reports import report_of, unreadable
from ingest.gateways.publishing import array_of

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Sequence

    from ingest.gateways.jt808.commands import Command
    from ingest.gateways.jt808.dialects import Dialect
    from ingest.gateways.jt808.hub import Hub
    from ingest.gateways.jt808.store import Terminal

MOST_PAYLOAD_BYTES = 56 * 1024
IN_PACKETS = frozenset({messages.LOCATION, messages.LOCATION_ANSWER, messages.LOCATIONS})
"""Messages that are put together; packets of others (pictures, sound) are answered unsupported at once."""

_log = structlog.get_logger("jt808")


class Wire(Protocol):
    """What a session may do with its connection."""

    def send(self, data: bytes) -> None: ...
    def hold(self, held: bool) -> None: ...
    def close(self, reason: str) -> None: ...


@dataclass(slots=True)
class _Pending:
    """Reports of one message on their way to the broker."""

    began_s: float
    left: int
    taken: bool = True


class Session:
    """One connection; all methods run on the event loop and none of them waits."""

    def __init__(self, hub: Hub, wire: Wire) -> None:
        self._hub, self._wire = hub, wire
        self.began_s = self.heard_s = monotonic()
        self.terminal: Terminal | None = None
        self.closed = False
        self.awaits_room = False
        self._awaits_since_s = 0.0
        self._number: str | None = None
        self._peer: Header | None = None
        self._dialect: Dialect | None = None
        self._busy = False
        self._tries = 0
        self._serial = 0
        self._pending: dict[int, _Pending] = {}
        self._tickets = 0
        self._inbox: deque[bytes] = deque()
        self._packets = Reassembly(hub.limits.packets_ask_s)
        self._orders = Orders(self, hub)

    # ------------------------------------------------------------------ from the connection

    def receive(self, content: bytes) -> None:
        """Take the content of a frame."""
        if self._blocked():
            self._inbox.append(content)
        else:
            self._handle(content)
        self._wire.hold(self._blocked())

    def resume(self) -> None:
        """Go on with what waits, now that there may be room."""
        while self._inbox and not self.closed and not self._blocked():
            self._handle(self._inbox.popleft())
        if not self.closed:
            self._wire.hold(self._blocked())

    def tend(self, now_s: float) -> str | None:
        """Look after what depends on time; return why the connection should end, if it should."""
        limits = self._hub.limits
        if self.terminal is None and now_s - self.began_s > limits.sign_in_s:
            return "sign_in_late"
        if now_s - self.heard_s > limits.idle_s:
            return "idle"
        waits_since_s = [pending.began_s for pending in islice(self._pending.values(), 1)]
        if self.awaits_room:
            waits_since_s.append(self._awaits_since_s)
        if waits_since_s and now_s - min(waits_since_s) > limits.broker_patience_s:
            return "broker_away"
        for missing in self._packets.tend(now_s):
            body = messages.encode_resend(
                missing.first_serial, missing.indices, is_2019=missing.header.is_2019
            )
            self.say(messages.RESEND_PACKETS, body)
        self._orders.tend(now_s)
        return None

    def ended(self) -> None:
        """Note that the connection is gone."""
        self.closed = True
        self._inbox.clear()
        self._hub.forget(self)

    def close(self, reason: str) -> None:
        """End the connection."""
        self._wire.close(reason)

    # ------------------------------------------------------------------ to the terminal

    def say(self, msg_id: int, body: bytes) -> int:
        """Send a message and return its serial number."""
        serial = self._serial
        self._serial = (serial + 1) & 0xFFFF
        self.repeat(msg_id, body, serial)
        return serial

    def repeat(self, msg_id: int, body: bytes, serial: int) -> None:
        """Send a message with a serial number given before."""
        if self._peer is not None and not self.closed:
            self._wire.send(enclose(build_header(self._peer, msg_id, serial, len(body)) + body))

    def order(self, command: Command) -> None:
        """Give the terminal a command."""
        self._orders.give(command)

    def _answer(self, serial: int, msg_id: int, result: int) -> None:
        metrics.ANSWERS.labels(str(result)).inc()
        self.say(messages.PLATFORM_ANSWER, messages.encode_answer(serial, msg_id, result))

    # ------------------------------------------------------------------ frames

    def _blocked(self) -> bool:
        if self._busy or len(self._pending) >= self._hub.limits.pending_reports:
            return True
        if self.terminal is None or self._hub.broker.has_room:
            return False
        if not self.awaits_room:
            self.awaits_room = True
            self._awaits_since_s = monotonic()
            self._hub.wait_for_room(self)
        return True

    def _handle(self, content: bytes) -> None:
        try:
            header, body = parse_header(content)
        except Rejected as exc:
            metrics.BAD_FRAMES.inc()
            if self.terminal is None:
                self.close("not_jt808")
            else:
                _log.info("bad_header", device_id=self.terminal.device_id, reason=exc.message)
            return
        if self._number is not None and header.number != self._number:
            self.close("two_terminals")
            return
        self.heard_s = monotonic()
        self._number, self._peer = header.number, header
        if header.encrypted:
            self._answer(header.serial, header.msg_id, messages.UNSUPPORTED)
        elif header.msg_id == messages.REGISTER and not header.is_packet:
            self._sign_in_try()
            self._begin(self._register(header, body))
        elif header.msg_id == messages.AUTHENTICATE and not header.is_packet:
            self._authenticate(header, body)
        elif self.terminal is None:
            # A terminal that takes itself for signed in learns here that it is not.
            self._sign_in_try()
            self._answer(header.serial, header.msg_id, messages.FAILED)
        else:
            metrics.MESSAGES.labels(_name(header.msg_id)).inc()
            self._of_terminal(self.terminal, header, body)

    def _of_terminal(self, terminal: Terminal, header: Header, body: bytes) -> None:
        serials: tuple[int, ...] = (header.serial,)
        if header.is_packet:
            if header.msg_id not in IN_PACKETS:
                self._answer(header.serial, header.msg_id, messages.UNSUPPORTED)
                return
            try:
                whole = self._packets.add(header, body, monotonic())
            except Rejected as exc:
                _log.warning("packets_refused", device_id=terminal.device_id, reason=exc.code)
                self._answer(header.serial, header.msg_id, messages.FAILED)
                return
            each = self._dialect is not None and self._dialect.answer_each_packet
            if whole is None:
                if each:
                    self._answer(header.serial, header.msg_id, messages.OK)
                return
            body, serials = whole.body, (header.serial,) if each else whole.serials
        match header.msg_id:
            case messages.LOCATION:
                self._report([body], header, serials)
            case messages.LOCATIONS:
                self._reports(terminal, body, header, serials)
            case messages.LOCATION_ANSWER if len(body) > 2:
                asked = int.from_bytes(body[:2], "big")
                self._report([body[2:]], header, serials, then=lambda: self._orders.located(asked))
            case messages.TERMINAL_ANSWER:
                self._terminal_answer(body)
            case messages.HEARTBEAT:
                self._answer(header.serial, header.msg_id, messages.OK)
            case messages.UNREGISTER:
                self._begin(self._unregister(terminal, header))
            case _:
                self._answer(header.serial, header.msg_id, messages.UNSUPPORTED)

    def _terminal_answer(self, body: bytes) -> None:
        try:
            self._orders.answered(messages.decode_answer(body))
        except Rejected:
            metrics.BAD_FRAMES.inc()

    # ------------------------------------------------------------------ signing in

    def _sign_in_try(self) -> None:
        self._tries += 1
        if self.terminal is None and self._tries > 2 * self._hub.limits.sign_in_tries:
            self.close("sign_in_tries")

    def _begin(self, work: Coroutine[None, None, None]) -> None:
        """Do what needs the database; frames that come meanwhile wait."""
        self._busy = True
        self._hub.spawn(self._while_busy(work))

    async def _while_busy(self, work: Coroutine[None, None, None]) -> None:
        try:
            await work
        except Unavailable as exc:
            # No answer: the terminal asks again.
            _log.warning("directory_unavailable", reason=exc.code)
        finally:
            self._busy = False
        self.resume()

    async def _register(self, header: Header, body: bytes) -> None:
        try:
            who = messages.decode_registration(body, is_2019=header.is_2019)
        except Rejected:
            self._answer(header.serial, header.msg_id, messages.BAD_MESSAGE)
            return
        result, code = messages.TERMINAL_UNKNOWN, ""
        if await self._hub.directory.find_newest(header.number) is not None:
            given = await self._hub.directory.register(header.number, who)
            result, code = (messages.TERMINAL_TAKEN, "") if given is None else (messages.REGISTERED, given)
        log = _log.info if result == messages.REGISTERED else _log.warning
        log("terminal_registers", terminal=header.number, model=who.model, result=result)
        self.say(messages.REGISTER_ANSWER, messages.encode_registered(header.serial, result, code))

    def _authenticate(self, header: Header, body: bytes) -> None:
        try:
            said = messages.decode_authentication(body, is_2019=header.is_2019)
        except Rejected:
            self._sign_in_try()
            self._answer(header.serial, header.msg_id, messages.BAD_MESSAGE)
            return
        terminal = self._hub.directory.may_enter(header.number, said.code)
        if terminal is None:
            self._tries += 1
            self._sign_in_try()
            _log.warning("terminal_refused", terminal=header.number)
            self._answer(header.serial, header.msg_id, messages.FAILED)
            return
        self._tries = 0
        self._dialect = self._hub.dialects.choose(
            terminal.dialect, terminal.model, terminal.reported_model, is_2019=header.is_2019
        )
        if self.terminal is None:
            self.terminal = terminal
            self._hub.welcome(self, terminal)
        self._answer(header.serial, header.msg_id, messages.OK)

    async def _unregister(self, terminal: Terminal, header: Header) -> None:
        await self._hub.directory.unregister(terminal.number)
        _log.warning("terminal_unregistered", device_id=terminal.device_id, terminal=terminal.number)
        self._answer(header.serial, header.msg_id, messages.OK)
        self.close("unregistered")

    # ------------------------------------------------------------------ reports

    def _reports(self, terminal: Terminal, body: bytes, header: Header, serials: Sequence[int]) -> None:
        try:
            batch = messages.decode_batch(body)
        except Rejected:
            batch = messages.Batch((), blind_zone=False, damaged=True)
        extra = [unreadable(terminal.device_id, body, "damaged_batch")] if batch.damaged else []
        # Damaged, it is answered so, but not before all that could be read is safe.
        result = messages.BAD_MESSAGE if batch.damaged else messages.OK
        self._report(batch.bodies, header, serials, extra, buffered=batch.blind_zone, result=result)

    def _report(
        self,
        bodies: Sequence[bytes],
        header: Header,
        serials: Sequence[int],
        extra: Sequence[bytes] = (),
        *,
        buffered: bool = False,
        result: int = messages.OK,
        then: Callable[[], None] | None = None,
    ) -> None:
        assert self.terminal is not None and self._dialect is not None  # noqa: S101, PT018 - signed in
        device_id = self.terminal.device_id
        items = [report_of(device_id, body, self._dialect, buffered=buffered) for body in bodies]
        payloads = _payloads([*items, *extra])
        if not payloads:  # a bulk upload of nothing
            for serial in serials:
                self._answer(serial, header.msg_id, result)
            return
        ticket = self._tickets = self._tickets + 1
        pending = self._pending[ticket] = _Pending(monotonic(), len(payloads))

        def done(taken: bool) -> None:
            pending.left -= 1
            pending.taken = pending.taken and taken
            if pending.left:
                return
            self._pending.pop(ticket, None)
            metrics.REPORTS.labels("taken" if pending.taken else "refused").inc(len(items) + len(extra))
            if pending.taken:
                if then is not None:
                    then()
                for serial in serials:
                    self._answer(serial, header.msg_id, result)
            if not self.closed:
                self.resume()

        topic = topics.build(self.terminal.shard, device_id, "telemetry")
        for payload in payloads:
            self._hub.broker.publish(topic, payload, done)


def _payloads(items: Sequence[bytes]) -> list[bytes]:
    """Pack reports into messages that the contract allows."""
    packed: list[list[bytes]] = []
    size = 0
    for item in items:
        if not packed or len(packed[-1]) >= MAX_REPORTS_PER_MESSAGE or size + len(item) > MOST_PAYLOAD_BYTES:
            packed.append([])
            size = 0
        packed[-1].append(item)
        size += len(item) + 1
    return [group[0] if len(group) == 1 else array_of(group) for group in packed]


def _name(msg_id: int) -> str:
    """Return a label; unknown ids share one, so that nobody can make labels at will."""
    known = {
        messages.TERMINAL_ANSWER, messages.HEARTBEAT, messages.UNREGISTER, messages.LOCATION,
        messages.LOCATION_ANSWER, messages.LOCATIONS,
    }  # fmt: skip
    return f"{msg_id:04x}" if msg_id in known else "other"
