"""What the broker answers: CONNACK, SUBACK, PUBACK and DISCONNECT, read out of their bytes."""

from __future__ import annotations

from typing import NamedTuple

from ingest.mqtt import properties as prop
from ingest.mqtt.properties import Value, decode_properties
from ingest.mqtt.reasons import (
    SUCCESS,
    UNACCEPTABLE_VERSION_311,
    UNSUPPORTED_VERSION,
    name_of,
    name_of_311,
)
from ingest.mqtt.wire import Malformed, decode_number

NO_LIMIT = 65_535


class Welcome(NamedTuple):
    """CONNACK. ``refusal`` is None when the broker takes us."""

    refusal: str | None
    other_version: bool
    session_present: bool = False
    keepalive_s: int | None = None
    receive_maximum: int = NO_LIMIT
    most_bytes: int | None = None


def read_connack(body: bytes, *, v5: bool) -> Welcome:
    """Read CONNACK; a broker that knows no MQTT 5 answers it in the form of 3.1.1."""
    if len(body) < 2:
        raise Malformed(f"Expected a CONNACK of at least two bytes, was {len(body)}")
    present, code = bool(body[0] & 1), body[1]
    if not v5 or len(body) == 2:
        other = code == UNACCEPTABLE_VERSION_311 or (v5 and code == SUCCESS)
        if not v5 and code == SUCCESS:
            return Welcome(None, other_version=False, session_present=present)
        return Welcome("Unsupported protocol version" if other else name_of_311(code), other)
    found, end = decode_properties(body, 2, len(body))
    _expect_end(body, end)
    if code != SUCCESS:
        return Welcome(_with_words(code, found), other_version=code == UNSUPPORTED_VERSION)
    return Welcome(
        None,
        other_version=False,
        session_present=present,
        keepalive_s=_number(found, prop.SERVER_KEEP_ALIVE),
        receive_maximum=_number(found, prop.RECEIVE_MAXIMUM) or NO_LIMIT,
        most_bytes=_number(found, prop.MAXIMUM_PACKET_SIZE),
    )


def read_suback(body: bytes, *, v5: bool) -> tuple[int, bytes]:
    """Return the packet id and one code per filter."""
    mid, at = decode_number(body, 0, len(body), 2)
    if v5:
        _, at = decode_properties(body, at, len(body))
    return mid, body[at:]


def read_puback(body: bytes, *, v5: bool) -> tuple[int, int, str]:
    """Return the packet id, the reason code and its words."""
    mid, at = decode_number(body, 0, len(body), 2)
    code = body[at] if v5 and at < len(body) else SUCCESS
    found: dict[int, Value] = {}
    if v5 and at + 1 < len(body):
        found, _ = decode_properties(body, at + 1, len(body))
    return mid, code, _with_words(code, found)


def read_disconnect(body: bytes) -> str:
    """Return why the broker ends the connection."""
    if not body:
        return name_of(SUCCESS)
    found, _ = decode_properties(body, 1, len(body)) if len(body) > 1 else ({}, 1)
    return _with_words(body[0], found)


def _with_words(code: int, found: dict[int, Value]) -> str:
    words = found.get(prop.REASON_STRING)
    return f"{name_of(code)} ({words})" if isinstance(words, str) else name_of(code)


def _number(found: dict[int, Value], name: int) -> int | None:
    value = found.get(name)
    return value if isinstance(value, int) else None


def _expect_end(body: bytes, end: int) -> None:
    if end != len(body):
        raise Malformed(f"Expected nothing behind the properties, was {len(body) - end} bytes")
