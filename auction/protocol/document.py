"""What a protocol looks like, strictly: an unknown, missing or misspelt field is a fault, not a shrug."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Annotated, Any, Literal

import msgspec

from core.errors import Rejected

Minor = Annotated[int, msgspec.Meta(ge=0, le=10**15)]
Some = Annotated[int, msgspec.Meta(ge=1, le=10**15)]
Ms = Annotated[int, msgspec.Meta(ge=0, le=10**12)]
Moment = Annotated[datetime, msgspec.Meta(tz=True)]


class Terms(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The parameters of the lot that decide about bids, and its names."""

    lot_id: str
    number: int
    case_id: str
    round: int
    attempt: int
    type: Literal["english"]
    pack: str
    pack_version: int
    title: str
    currency: str
    start_minor: Some
    reserve_minor: Some | None
    deposit_minor: Minor
    tick_minor: Some
    steps: Annotated[list[tuple[Minor, Some]], msgspec.Meta(min_length=1)]
    high_minor: Some
    window_ms: Ms
    extension_ms: Ms
    drain_ms: Ms
    min_resume_ms: Ms
    outage_grace_ms: Ms
    starts_at: Moment
    planned_end_at: Moment
    hard_end_at: Moment | None


class Link(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An event as it was hashed: ``hash`` = SHA-256(hash before || body)."""

    seq: int
    body: str
    hash: str


class Opening(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a commitment hid; without maximum and salt where the bidder may keep it."""

    seq: int
    mode: Literal["exact", "proxy"]
    max_minor: Some | None
    salt: str | None


class Result(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the house says came out."""

    state: Literal["hammered", "unsold"]
    price_minor: Some | None
    winner_code: str | None
    ends_at: Moment
    extension_count: int
    bid_count: int
    hammered_at: Moment | None


class Head(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The last link."""

    seq: int
    hash: str


class Protocol(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A whole protocol."""

    format: Literal["pledgewatch-lot-protocol/1"]
    view: Literal["public", "full"]
    key_id: str
    lot: Terms
    events: list[Link]
    openings: list[Opening]
    result: Result
    head: Head
    signature: str


class Body(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What was hashed; ``v`` is the version of this form."""

    v: Literal[1]
    lot: str
    seq: int
    kind: str
    actor: str
    arrived_at: Moment
    decided_at: Moment
    payload: dict[str, Any]


_body = msgspec.json.Decoder(Body)


def read_protocol(content: bytes) -> tuple[dict[str, Any], Protocol]:
    """Return the document as it was signed, and typed.

    Raises:
        Rejected: the bytes are no such document; says where (``protocol_malformed``).
    """
    content = content.strip()
    try:
        document = msgspec.json.decode(content)
        if msgspec.json.encode(document, order="sorted") != content:
            # Somebody formatted it. A name given twice would be read in two ways by two readers.
            document = json.loads(
                content, object_pairs_hook=_once, parse_float=_refuse, parse_constant=_refuse
            )
            # Half a character (a lone surrogate) passes there, and has no bytes that could be signed.
            msgspec.json.encode(document)
        return document, msgspec.convert(document, Protocol)
    except (msgspec.DecodeError, msgspec.ValidationError, ValueError, RecursionError) as exc:
        raise Rejected(
            f"Protocol: expected a lot's protocol, was not: {exc}", code="protocol_malformed"
        ) from exc


def read_body(text: str) -> Body:
    """Return an event.

    Raises:
        Rejected: the text is no event (``protocol_malformed``).
    """
    try:
        json.loads(text, object_pairs_hook=_once)
        return _body.decode(text)
    except (msgspec.DecodeError, msgspec.ValidationError, ValueError, RecursionError) as exc:
        raise Rejected(f"expected an event, was not: {exc}", code="protocol_malformed") from exc


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a name is given twice in one object")
    return found


def _refuse(text: str) -> Any:
    raise ValueError(f"a number that is not whole: {text}")
