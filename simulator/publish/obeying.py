"""What a simulated device does when it is asked: it says that it heard, and whether it did it.

The fleet's plan of reports stays as it is, so that its labels stay true; a device answers as its model
would and reports on as planned.
"""

from __future__ import annotations

from collections import OrderedDict
from datetime import UTC, datetime
from typing import Any

import msgspec

from core.clock import wall_now
from core.wire import VERSION

REMEMBERED = 100
KINDS = frozenset({"locate", "track", "interval", "reboot"})


class Command(msgspec.Struct):
    """The JSON of a command."""

    v: int
    id: str
    kind: str
    expires_at: datetime
    params: dict[str, Any] = {}


_command = msgspec.json.Decoder(Command)


class Obedience:
    """Answers of one device; the same command again is answered again and done once."""

    def __init__(self, device_id: str) -> None:
        self._device_id = device_id
        self._told: OrderedDict[str, tuple[str, str]] = OrderedDict()
        self.done: list[str] = []

    def answers(self, payload: bytes) -> list[bytes]:
        """Return the answers to a message of the ``cmd`` topic; none to what is no command."""
        try:
            command = _command.decode(payload)
        except (msgspec.DecodeError, UnicodeDecodeError):
            return []
        if command.id not in self._told:
            self._told[command.id] = self._obey(command)
            while len(self._told) > REMEMBERED:
                self._told.popitem(last=False)
        state, detail = self._told[command.id]
        said = [("received", ""), (state, detail)] if state == "done" else [(state, detail)]
        return [self._answer(command.id, one, why) for one, why in said]

    def _obey(self, command: Command) -> tuple[str, str]:
        expires_at = command.expires_at
        if (expires_at if expires_at.tzinfo else expires_at.replace(tzinfo=UTC)) < wall_now():
            return "refused", "expired"
        if command.v != VERSION or command.kind not in KINDS:
            return "refused", "unsupported"
        self.done.append(command.kind)
        return "done", ""

    def _answer(self, command_id: str, state: str, detail: str) -> bytes:
        return msgspec.json.encode(
            {
                "v": VERSION,
                "device_id": self._device_id,
                "id": command_id,
                "state": state,
                "detail": detail,
                "at": wall_now(),
            }
        )
