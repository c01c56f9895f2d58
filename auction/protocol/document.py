"""What a protocol looks like, strictly: an unknown, missing or misspelt field is a fault, not a shrug."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any, Literal

import msgspec

from core.errors import Rejected


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
    start_minor: int
    reserve_minor: int | None
    deposit_minor: int
    tick_minor: int
    steps: list[tuple[int, int]]
    high_minor: int
    window_ms: int
    extension_ms: int
    drain_ms: int
    min_resume_ms: int
    outage_grace_ms: int
    starts_at: datetime
    planned_end_at: datetime
    hard_end_at: datetime | None


class Link(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An event as it was hashed: ``hash`` = SHA-256(hash before || body)."""

    seq: int
    body: str
    hash: str


class Opening(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a commitment hid; without maximum and salt where the bidder may keep it."""

    seq: int
    mode: Literal["exact", "proxy"]
    max_minor: int | None
    salt: str | None


class Result(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the house says came out."""

    state: Literal["hammered", "unsold"]
    price_minor: int | None
    winner_code: str | None
    ends_at: datetime
    extension_count: int
    bid_count: int
    hammered_at: datetime | None


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


class Body(msgspec.Struct, frozen=True):
    """What was hashed; ``v`` is the version of this form."""

    v: Literal[1]
    lot: str
    seq: int
    kind: str
    actor: str
    arrived_at: datetime
    decided_at: datetime
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
        return _body.decode(text)
    except (msgspec.DecodeError, msgspec.ValidationError, ValueError) as exc:
        raise Rejected(f"expected an event, was not: {exc}", code="protocol_malformed") from exc


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a name is given twice in one object")
    return found


def _refuse(text: str) -> Any:
    raise ValueError(f"a number that is not whole: {text}")
