"""A location body becomes one report of the wire schema: always the same bytes for the same body.

Terminals have no boot number and no sequence that survives a restart, so `boot_id` is 0 and `seq` a hash of
the body (architecture, decision 2): a repeat, live or from the blind zone, is a duplicate and never a second
report. Nothing that changes between repeats (serial number, time of arrival) may get in.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

import msgspec

from core.clock import from_ms
from core.errors import Rejected
from core.wire import EXT_MAX_BYTES, VERSION, decode
from ingest.gateways.jt808.dialects import NUMBERS
from ingest.gateways.jt808.location import Location, parse_location
from ingest.gateways.jt808.messages import text

if TYPE_CHECKING:
    from ingest.gateways.jt808.dialects import Dialect, ItemRule

BOOT_ID = 0
FASTEST_KMH = 300
CSQ_MOST = 31
MOST_KEPT_BYTES = 600
"""Of a body that cannot be read, and of all items without a meaning: their hex must fit into ``ext``."""
MOST_TEXT = 64


def report_of(device_id: str, body: bytes, dialect: Dialect, *, buffered: bool = False) -> bytes:
    """Return the JSON of a location body's report; one that cannot be read is kept as it is, without time."""
    try:
        fields = _fields(device_id, parse_location(body), body, dialect, buffered)
    except Rejected as exc:
        return unreadable(device_id, body, exc.code)
    item = msgspec.json.encode(fields)
    try:
        decode(item)
    except Rejected as exc:
        return unreadable(device_id, body, exc.code)
    return item


def unreadable(device_id: str, body: bytes, reason: str) -> bytes:
    """Return a report without time that keeps the first bytes of what could not be read."""
    fields = _identity(device_id, "unreadable", body) | {
        "reason": reason,
        "body_bytes": len(body),
        "body": body[:MOST_KEPT_BYTES].hex(),
    }
    return msgspec.json.encode(fields)


def sequence_of(body: bytes) -> int:
    """Return a report's `seq`: 63 bits of the body's hash."""
    return int.from_bytes(hashlib.sha256(body).digest()[:8], "big") >> 1


def _identity(device_id: str, kind: str, body: bytes) -> dict[str, Any]:
    return {
        "v": VERSION,
        "device_id": device_id,
        "type": kind,
        "boot_id": BOOT_ID,
        "seq": sequence_of(body),
    }


def _fields(
    device_id: str, location: Location, body: bytes, dialect: Dialect, buffered: bool
) -> dict[str, Any]:
    moment_ms = location.moment_ms(dialect.utc_offset_s)
    fixed = location.positioned and location.placed and moment_ms is not None
    words, readings, strange = _items(location, dialect)
    for bits, meanings in ((location.alarm, dialect.alarm_words), (location.status, dialect.status_words)):
        words += [word for bit, word in meanings if bits >> bit & 1]
    alarms = sorted(set(words))
    fields = _identity(device_id, "position" if fixed else "alarm" if alarms else "heartbeat", body)
    if moment_ms is not None:
        # One clock: of the fix when there is one, else the terminal's own.
        fields["fix_time" if fixed else "device_time"] = _rfc3339(moment_ms)
    fields["fix_valid"] = fixed
    if location.placed:
        fields |= {"lat": location.lat, "lon": location.lon}
        if dialect.datum != "wgs84":
            fields["crs"] = dialect.datum
    if fixed:
        fields |= _motion(location)
    for bits, flags in ((location.alarm, dialect.alarm_flags), (location.status, dialect.status_flags)):
        fields |= {flag.field: bool(bits >> flag.bit & 1) is not flag.inverted for flag in flags}
    fields |= readings
    if buffered:
        fields["buffered"] = True
    fields |= {"alarms": alarms, "alarm_raw": f"{location.alarm:08x}", "status_raw": f"{location.status:08x}"}
    return fields | strange


def _motion(location: Location) -> dict[str, Any]:
    fields: dict[str, Any] = {"alt_m": location.altitude_m}
    if location.speed_dkmh <= FASTEST_KMH * 10:
        fields["speed_kmh"] = location.speed_dkmh / 10
    if location.direction_deg <= 360:
        fields["heading_deg"] = location.direction_deg % 360
    return fields


def _items(location: Location, dialect: Dialect) -> tuple[list[str], dict[str, Any], dict[str, Any]]:
    """Return alarm words, fields, and what has no meaning here (kept as hex, bounded)."""
    words: list[str] = []
    readings: dict[str, Any] = {}
    unknown: dict[str, str] = {}
    room = MOST_KEPT_BYTES
    for number, value in location.items:
        rule = dialect.items.get(number)
        if rule is not None and _read(rule, value, location, words, readings, room):
            room -= len(value) if rule.kind == "hex" else 0
        elif len(value) + 4 <= room:
            unknown[f"{number:02x}"] = value.hex()
            room -= len(value) + 4  # its id and quotes count too
    strange: dict[str, Any] = {"items": unknown} if unknown else {}
    if location.remainder:
        strange["damaged"] = location.remainder[: max(0, room)].hex()
    return words, readings, strange


def _read(
    rule: ItemRule,
    value: bytes,
    location: Location,
    words: list[str],
    readings: dict[str, Any],
    room: int,
) -> bool:
    """Read one item; false when it does not fit its rule."""
    if rule.kind in NUMBERS or rule.kind == "csq":
        number = _number(rule, value)
        if number is not None:
            readings[rule.field] = number
        return number is not None
    if rule.kind == "text":
        readings[rule.field] = text(value)[:MOST_TEXT]
    elif rule.kind == "hex":
        if len(value) > room:
            return False
        readings[rule.field] = value.hex()
    elif rule.kind == "crossing":
        if len(value) < 6 or value[-1] > 1:
            return False
        words += [pair[value[-1]] for bit, pair in rule.crossings if location.alarm >> bit & 1]
    else:
        bits = int.from_bytes(value[:4], "big")
        found = [word for bit, word in rule.words if bits >> bit & 1]
        if rule.kind == "alarm_bits":
            words += found
        elif found:
            readings[rule.field] = found[0]
    return True


def _number(rule: ItemRule, value: bytes) -> float | None:
    if rule.kind == "csq":
        # 3GPP TS 27.007: 0 is -113 dBm or less, then 2 dB a step; 99 is unknown.
        return -113 + 2 * value[0] if len(value) == 1 and value[0] <= CSQ_MOST else None
    size, signed = NUMBERS[rule.kind]
    raw = value[rule.offset : rule.offset + size]
    if len(raw) < size:
        return None
    number = round(int.from_bytes(raw, "big", signed=signed) * rule.scale, 6)
    if (rule.least is not None and number < rule.least) or (rule.most is not None and number > rule.most):
        return None
    return number


def _rfc3339(moment_ms: int) -> str:
    return from_ms(moment_ms).isoformat(timespec="seconds").replace("+00:00", "Z")


assert 2 * MOST_KEPT_BYTES + 400 < EXT_MAX_BYTES  # noqa: S101 - a report of ours must never be refused for its size
