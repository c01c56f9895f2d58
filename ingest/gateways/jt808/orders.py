"""Commands under way to one terminal: sent, repeated, answered."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING

import structlog

from core.clock import monotonic
from core.errors import Rejected
from ingest.gateways.jt808 import commands, messages, metrics

if TYPE_CHECKING:
    from ingest.gateways.jt808.commands import Command
    from ingest.gateways.jt808.hub import Hub
    from ingest.gateways.jt808.messages import TerminalAnswer
    from ingest.gateways.jt808.session import Session

REMEMBERED = 32

_log = structlog.get_logger("jt808")


@dataclass(slots=True)
class _Sent:
    command: Command
    msg_id: int
    body: bytes
    at_s: float
    tries: int = 1


class Orders:
    """The commands of one session by serial number; a repeated id is answered from memory."""

    def __init__(self, session: Session, hub: Hub) -> None:
        self._session, self._hub = session, hub
        self._sent: dict[int, _Sent] = {}
        self._ended: OrderedDict[str, tuple[str, str]] = OrderedDict()

    def give(self, command: Command) -> None:
        """Send a command, unless it is under way, done or out of date."""
        if command.id in self._ended:
            self._say(command, *self._ended[command.id])
            return
        if any(sent.command.id == command.id for sent in self._sent.values()):
            return
        if commands.expired(command):
            self._end(command, "refused", "expired")
            return
        try:
            msg_id, body = commands.message_of(command)
        except Rejected as exc:
            self._end(command, "refused", f"{exc.code}: {exc.message}"[:200])
            return
        if len(self._sent) >= self._hub.limits.commands:
            metrics.COMMANDS.labels("postponed").inc()
            return
        serial = self._session.say(msg_id, body)
        self._sent[serial] = _Sent(command, msg_id, body, monotonic())

    def answered(self, answer: TerminalAnswer) -> None:
        """Take a general answer (0x0001)."""
        sent = self._sent.get(answer.serial)
        if sent is None or sent.msg_id != answer.msg_id:
            return
        if answer.result != messages.OK:
            del self._sent[answer.serial]
            why = commands.WHY.get(answer.result, f"result_{answer.result}")
            self._end(sent.command, "refused", why)
        elif sent.msg_id != messages.ASK_LOCATION:  # its answer is the place itself
            del self._sent[answer.serial]
            self._end(sent.command, "done", "")

    def located(self, serial: int) -> None:
        """Take the place that was asked for (0x0201), once the broker has it."""
        sent = self._sent.get(serial)
        if sent is not None and sent.msg_id == messages.ASK_LOCATION:
            del self._sent[serial]
            self._end(sent.command, "done", "")

    def tend(self, now_s: float) -> None:
        """Repeat what was not answered, a few times; the queue decides what becomes of it then."""
        limits = self._hub.limits
        for serial, sent in list(self._sent.items()):
            if now_s - sent.at_s < limits.command_retry_s:
                continue
            if sent.tries >= limits.command_tries or commands.expired(sent.command):
                del self._sent[serial]
                metrics.COMMANDS.labels("unanswered").inc()
            else:
                sent.tries += 1
                sent.at_s = now_s
                self._session.repeat(sent.msg_id, sent.body, serial)

    def _end(self, command: Command, state: str, detail: str) -> None:
        self._ended[command.id] = (state, detail)
        if len(self._ended) > REMEMBERED:
            self._ended.popitem(last=False)
        self._say(command, state, detail)

    def _say(self, command: Command, state: str, detail: str) -> None:
        if self._session.terminal is not None:
            self._hub.acknowledge(self._session.terminal, command.id, state, detail)
