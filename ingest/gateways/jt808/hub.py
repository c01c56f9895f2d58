"""What all connections share: who is here, the broker, the directory, and the work that may wait."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING, Protocol

import msgspec
import structlog

from core import topics
from core.errors import Rejected
from core.wire import VERSION
from ingest.gateways.jt808 import commands, metrics

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from ingest.gateways.jt808.dialects import Dialects
    from ingest.gateways.jt808.directory import Directory
    from ingest.gateways.jt808.limits import Limits
    from ingest.gateways.jt808.session import Session
    from ingest.gateways.jt808.store import Terminal

_log = structlog.get_logger("jt808")


class Broker(Protocol):
    """What the gateway needs of a publisher."""

    @property
    def has_room(self) -> bool: ...
    def publish(
        self,
        topic: str,
        payload: bytes,
        done: Callable[[bool], None] | None = None,
        *,
        retain: bool = False,
    ) -> None: ...
    def subscribe(self, topic: str) -> None: ...
    def unsubscribe(self, topic: str) -> None: ...


class Hub:
    """The signed-in sessions by device, and their way to the broker."""

    broker: Broker

    def __init__(self, directory: Directory, dialects: Dialects, limits: Limits) -> None:
        self.directory, self.dialects, self.limits = directory, dialects, limits
        self.sessions: dict[str, Session] = {}
        directory.changed = self.cut_revoked
        self._waiting: deque[Session] = deque()
        self._tasks: set[asyncio.Task[None]] = set()

    def spawn(self, work: Coroutine[None, None, None]) -> None:
        """Run a session's short task; at most one at a time for each."""
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def welcome(self, session: Session, terminal: Terminal) -> None:
        """Note that a terminal signed in; an older connection of its own ends."""
        older = self.sessions.get(terminal.device_id)
        self.sessions[terminal.device_id] = session
        if older is not None and older is not session:
            older.close("replaced")
        self.broker.subscribe(topics.build(terminal.shard, terminal.device_id, "cmd"))
        self._say_status(terminal, online=True)
        _log.info("terminal_signed_in", device_id=terminal.device_id, terminal=terminal.number)

    def forget(self, session: Session) -> None:
        """Note that a connection ended."""
        terminal = session.terminal
        if terminal is None or self.sessions.get(terminal.device_id) is not session:
            return
        del self.sessions[terminal.device_id]
        self.broker.unsubscribe(topics.build(terminal.shard, terminal.device_id, "cmd"))
        self._say_status(terminal, online=False)

    def wait_for_room(self, session: Session) -> None:
        """Wake the session when the broker has taken something."""
        self._waiting.append(session)

    def room(self) -> None:
        """Wake who waits, first come first served, as long as there is room."""
        while self._waiting and self.broker.has_room:
            session = self._waiting.popleft()
            session.awaits_room = False
            session.resume()

    def hear(self, topic: str, payload: bytes) -> None:
        """Take a command from the broker to its terminal."""
        try:
            device_id = topics.parse(topic).device_id
            if len(payload) > self.limits.command_bytes:
                raise Rejected(f"Expected a command of at most {self.limits.command_bytes} bytes")
            command = commands.decode_command(payload)
        except Rejected as exc:
            metrics.COMMANDS.labels("unreadable").inc()
            _log.warning("command_unreadable", topic=topic, reason=exc.message)
            return
        session = self.sessions.get(device_id)
        if session is None:
            metrics.COMMANDS.labels("terminal_gone").inc()
        else:
            session.order(command)

    def acknowledge(self, terminal: Terminal, command_id: str, state: str, detail: str) -> None:
        """Say on ``cmdack`` what became of a command."""
        metrics.COMMANDS.labels(state).inc()
        self.broker.publish(
            topics.build(terminal.shard, terminal.device_id, "cmdack"),
            commands.acknowledgement(terminal.device_id, command_id, state, detail),
        )

    def cut_revoked(self) -> None:
        """End the sessions of terminals that may not speak any more, or speak for another device now."""
        for session in list(self.sessions.values()):
            terminal = session.terminal
            known = None if terminal is None else self.directory.find(terminal.number)
            if terminal is not None and (known is None or known.device_id != terminal.device_id):
                session.close("revoked")

    async def finish(self) -> None:
        """Wait for the short tasks."""
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=5)

    def _say_status(self, terminal: Terminal, *, online: bool) -> None:
        if self.broker.has_room:  # it is evidence, not a report: it may be missed
            body = {"v": VERSION, "device_id": terminal.device_id, "online": online}
            topic = topics.build(terminal.shard, terminal.device_id, "status")
            self.broker.publish(topic, msgspec.json.encode(body), retain=True)
