"""What devices say about commands: read from ``cmdack`` topics, stored in the batch's transaction."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal
from uuid import UUID

import msgspec

from collateral.commands.domain import State
from collateral.commands.queue import Answer, take_answers
from core.errors import Rejected
from core.wire import VERSION
from ingest import reasons
from ingest.domain import refusal

if TYPE_CHECKING:
    from collections.abc import Sequence

    from core.db.pool import Connection
    from ingest.domain import Item, Refusal

UNKNOWN_COMMAND = "unknown_command"


class AnswerMessage(msgspec.Struct, gc=False):
    """The JSON of an answer (docs/commands.md)."""

    v: int
    device_id: str
    id: UUID
    state: Literal["received", "done", "refused"]
    detail: Annotated[str, msgspec.Meta(max_length=500)] = ""
    at: object = None


_answer = msgspec.json.Decoder(AnswerMessage)


def is_report(raw: bytes) -> bool:
    """Tell whether an item on a ``cmdack`` topic is a report: those have a type, answers a state."""
    return b'"seq"' in raw and b'"state"' not in raw


def read_answer(item: Item) -> Answer:
    """Decode an answer.

    Raises:
        Rejected: not JSON, not an answer, another version, or of another device.
    """
    try:
        message = _answer.decode(item.raw)
    except msgspec.ValidationError as exc:
        raise Rejected(str(exc), code=reasons.SCHEMA) from exc
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as exc:
        raise Rejected(f"Expected JSON, was not: {exc}", code=reasons.NOT_JSON) from exc
    if message.v != VERSION:
        raise Rejected(f"Expected v = {VERSION}, was {message.v}", code="unknown_version")
    if message.device_id != item.device_id:
        raise Rejected(
            f"Expected device_id {item.device_id!r} as in the topic, was {message.device_id!r}",
            code=reasons.DEVICE_MISMATCH,
        )
    return Answer(item.device_id, message.id, State(message.state), message.detail.replace("\x00", "\ufffd"))


def write_answers(conn: Connection, answers: Sequence[tuple[Item, Answer]]) -> list[Refusal]:
    """Move the commands forward; returns refusals for answers to nothing that was asked."""
    unknown = take_answers(conn, [answer for _, answer in answers])
    return [
        refusal(answers[place][0], UNKNOWN_COMMAND, "Expected the id of a command to this device")
        for place in unknown
    ]
