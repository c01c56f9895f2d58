"""Commands for a terminal: the queue's JSON becomes a message, the terminal's answer an acknowledgement.

`{"v": 1, "id": …, "kind": "locate|track|interval|reboot", "params": {…}, "expires_at": …}` on ``cmd``;
`{"v": 1, "device_id": …, "id": …, "state": "done|refused", "detail": …, "at": …}` on ``cmdack``. Nothing is
said before the terminal has answered: the queue sends a command again until it hears of it, or it expires.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

import msgspec

from core.clock import from_ms, to_ms, wall_now
from core.errors import Rejected
from core.wire import VERSION, moment_ms
from ingest.gateways.jt808 import messages

HEARTBEAT_INTERVAL, SLEEP_INTERVAL, REPORT_INTERVAL = 0x0001, 0x0027, 0x0029
"""Parameters of 0x8103, each a DWORD of seconds."""
PARAMETERS = {
    "moving_s": REPORT_INTERVAL,
    "sleep_s": SLEEP_INTERVAL,
    "heartbeat_s": HEARTBEAT_INTERVAL,
}
"""The protocol has no interval of its own for a parked vehicle: `parked_s` is refused, not guessed at."""
LONGEST_S = 7 * 86_400
LONGEST_TRACK_INTERVAL_S = 65_535
DEFAULT_TRACK_S = 3_600
WHY = {
    messages.FAILED: "failed",
    messages.BAD_MESSAGE: "bad_message",
    messages.UNSUPPORTED: "unsupported",
}


class Command(msgspec.Struct, frozen=True):
    """A command as it stands on the topic."""

    v: int
    id: str
    kind: str
    params: dict[str, Any] = {}
    expires_at: datetime | int | None = None


_decoder = msgspec.json.Decoder(Command)


def decode_command(payload: bytes) -> Command:
    """Read a command.

    Raises:
        Rejected: not of the form (code ``bad_command``).
    """
    try:
        command = _decoder.decode(payload)
    except (msgspec.DecodeError, UnicodeDecodeError) as exc:
        raise Rejected(f"Expected a command: {exc}", code="bad_command") from exc
    if command.v != VERSION or not 1 <= len(command.id) <= 64:
        raise Rejected("Expected a command of version 1 with an id", code="bad_command")
    return command


def expired(command: Command) -> bool:
    """Whether nobody wants the command any more."""
    until_ms = moment_ms(command.expires_at)
    return until_ms is not None and until_ms <= to_ms(wall_now())


def message_of(command: Command) -> tuple[int, bytes]:
    """Return the message id and body for the terminal.

    Raises:
        Rejected: a kind or parameter that no terminal knows (codes ``unknown_kind``, ``bad_params``).
    """
    params = command.params
    if command.kind == "locate":
        return messages.ASK_LOCATION, b""
    if command.kind == "track":
        interval_s = _seconds(params, "interval_s", least=0, most=LONGEST_TRACK_INTERVAL_S)
        valid_s = _seconds(params, "duration_s", default=_left_s(command), most=LONGEST_S)
        return messages.TRACK, messages.encode_track(interval_s, valid_s)
    if command.kind == "interval":
        strange = sorted(set(params) - set(PARAMETERS))
        if strange:
            raise Rejected(
                f"Expected {', '.join(PARAMETERS)}; terminals have no {', '.join(strange)}", code="bad_params"
            )
        wanted = {
            PARAMETERS[name]: _seconds(params, name, most=LONGEST_S) for name in PARAMETERS if name in params
        }
        if not wanted:
            raise Rejected(f"Expected one of {', '.join(PARAMETERS)}", code="bad_params")
        return messages.SET_PARAMETERS, messages.encode_parameters(sorted(wanted.items()))
    if command.kind == "reboot":
        return messages.CONTROL, bytes([messages.CONTROL_RESET])
    raise Rejected(f"Expected locate, track, interval or reboot, was {command.kind!r}", code="unknown_kind")


def acknowledgement(device_id: str, command_id: str, state: str, detail: str) -> bytes:
    """Return the JSON for ``cmdack``."""
    at = from_ms(to_ms(wall_now())).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return msgspec.json.encode(
        {"v": VERSION, "device_id": device_id, "id": command_id, "state": state, "detail": detail, "at": at}
    )


def _left_s(command: Command) -> int:
    until_ms = moment_ms(command.expires_at)
    if until_ms is None:
        return DEFAULT_TRACK_S
    return max(1, min(LONGEST_S, (until_ms - to_ms(wall_now())) // 1000))


def _seconds(
    params: dict[str, Any], name: str, *, least: int = 1, most: int, default: int | None = None
) -> int:
    value = params.get(name, default)
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
        raise Rejected(f"Expected {name} of {least} to {most} seconds, was {value!r}", code="bad_params")
    return value
