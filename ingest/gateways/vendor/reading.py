"""A body of a vendor cloud becomes reports of the wire schema; nothing that came is dropped.

An item that cannot be read (a strange time, a word for a number) goes out as it is, under its device, so
that ingest puts it aside with a reason; one without a usable device id goes out under the source's own
name, which is no registered device.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from core.clock import from_ms, to_ms
from core.errors import Rejected, Upstream
from core.topics import DEVICE_ID, MAX_PAYLOAD_BYTES, MAX_REPORTS_PER_MESSAGE, build, default_shard
from core.wire import EXT_MAX_BYTES, VERSION

if TYPE_CHECKING:
    from ingest.gateways.vendor.source import Source

BOOT_ID = 0
MOST_RAW_BYTES = 1_200
MOST_REPORT_BYTES = 4_096
"""One item longer than a message would make the broker hang up, and hold up its whole page for ever."""
ABSENT = object()
_TRUE, _FALSE = {"1", "true", "on", "yes"}, {"0", "false", "off", "no"}
_BOOLEANS = {"buffered", "fix_valid", "ignition", "motion", "ext_power_ok"}
_TEXTS = {"fix_source", "mode"}


class Read(NamedTuple):
    """A report of a device; ``good`` is false for an item that could not be read."""

    device_id: str
    body: bytes
    good: bool


def items_of(body: bytes, source: Source) -> tuple[Any, list[dict[str, Any]]]:
    """Return the decoded page and the items in it.

    Raises:
        Upstream: not JSON, or no list of objects where the declaration says (``bad_json``, ``schema_drift``).
    """
    try:
        page = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as exc:
        raise _error(source, "bad_json", f"expected JSON: {exc}") from exc
    found = at(page, source.items)
    if not isinstance(found, list) or not all(isinstance(item, dict) for item in found):
        kind = "nothing" if found is ABSENT else type(found).__name__
        raise _error(source, "schema_drift", f"expected a list of objects at {source.items!r}, was {kind}")
    if found:
        gone = [path for path in source.needed if all(at(item, path) is ABSENT for item in found)]
        if gone:
            raise _error(
                source,
                "schema_drift",
                f"expected the fields {', '.join(gone)} in at least one of {len(found)} items, "
                f"the first has {', '.join(sorted(map(str, found[0])))[:300] or 'none'}",
            )
    return page, found


def read_item(item: dict[str, Any], source: Source) -> Read:
    """Return the report of an item; the same item gives the same bytes."""
    device_id = _device_id(at(item, source.device_field), source)
    if device_id is None:
        return Read(*_raw(f"vendor-{re.sub('[^A-Za-z0-9_-]', '-', source.name)}"[:32], item, "bad_device"))
    try:
        fields = _fields(item, source)
    except Rejected as exc:
        return Read(*_raw(device_id, item, exc.code))
    body = {"v": VERSION, "device_id": device_id, "type": "position", "boot_id": BOOT_ID, "crs": source.datum}
    body["seq"] = _sequence(fields)
    said = msgspec.json.encode(body | fields)
    if len(said) > MOST_REPORT_BYTES:
        return Read(*_raw(device_id, item, "too_long"))
    return Read(device_id, said, True)


def messages_of(reports: Iterable[Read]) -> list[tuple[str, bytes]]:
    """Return (topic, payload): the reports of a device together, as many as a message may have."""
    by_device: dict[str, list[list[bytes]]] = {}
    sizes: dict[str, int] = {}
    for report in reports:
        packs = by_device.setdefault(report.device_id, [[]])
        size = sizes.get(report.device_id, 2) + len(report.body) + 1
        if packs[-1] and (len(packs[-1]) >= MAX_REPORTS_PER_MESSAGE or size > MAX_PAYLOAD_BYTES):
            packs.append([])
            size = len(report.body) + 3
        packs[-1].append(report.body)
        sizes[report.device_id] = size
    return [
        (build(default_shard(device_id), device_id, "telemetry"), b"[" + b",".join(pack) + b"]")
        for device_id, packs in by_device.items()
        for pack in packs
    ]


def at(value: Any, path: str) -> Any:
    """Return what stands at a path of names, ``ABSENT`` when there is nothing."""
    for name in path.split(".") if path else ():
        if not isinstance(value, dict) or name not in value:
            return ABSENT
        value = value[name]
    return value


def _fields(item: dict[str, Any], source: Source) -> dict[str, Any]:
    fields: dict[str, Any] = {"fix_valid": True, "fix_time": _moment(at(item, source.time_field), source)}
    for path, ours in source.fields.items():
        value = at(item, path)
        if value is ABSENT or value is None or value == "":
            continue
        words = source.values.get(ours)
        if words is not None:
            if str(value) not in words:
                raise Rejected(f"{ours}: expected a declared word, was {value!r}", code="bad_word")
            fields[ours] = words[str(value)]
        else:
            fields[ours] = _value(ours, value, source.scale.get(ours))
    if source.alarm_field is not None:
        fields |= _alarms(at(item, source.alarm_field), source)
    return fields


def _value(ours: str, value: Any, factor: float | None) -> Any:
    if ours in _TEXTS:
        return str(value)
    if ours in _BOOLEANS:
        word = str(value).strip().lower()
        if word not in _TRUE | _FALSE:
            raise Rejected(f"{ours}: expected true or false, was {value!r}", code="bad_word")
        return word in _TRUE
    try:
        number = float(value) if not isinstance(value, bool) else None
    except (TypeError, ValueError, OverflowError):
        number = None
    if number is None or not abs(number) < 1e15:
        raise Rejected(f"{ours}: expected a number, was {value!r}", code="bad_number")
    number = round(number * (factor or 1.0), 9)
    return int(number) if ours in {"sat", "next_report_s"} else number


def _alarms(found: Any, source: Source) -> dict[str, Any]:
    if found is ABSENT or found is None or found == "":
        return {}
    codes = [str(code).strip() for code in (found if isinstance(found, list) else str(found).split(","))]
    known = [source.alarm_words[code] for code in codes if code in source.alarm_words]
    strange = [code[:32] for code in codes if code and code not in source.alarm_words][:16]
    return {"alarms": known} | ({"vendor_alarms": strange} if strange else {})


def _moment(value: Any, source: Source) -> datetime:
    """Return the time of an item, to the millisecond.

    Raises:
        Rejected: it is not of the declared format (``bad_time``).
    """
    try:
        if source.time_format == "epoch_ms":
            return from_ms(int(value))
        if source.time_format == "epoch_s":
            return from_ms(round(float(value) * 1000))
        if source.time_format == "rfc3339":
            moment = datetime.fromisoformat(str(value))
        else:
            moment = datetime.strptime(str(value), source.time_format)  # noqa: DTZ007 - zone comes below
        moment = moment if moment.tzinfo else moment.replace(tzinfo=source.zone or UTC)
        return from_ms(to_ms(moment.astimezone(UTC)))
    except (TypeError, ValueError, OverflowError) as exc:
        raise Rejected(f"Expected a time as {source.time_format}, was {value!r}", code="bad_time") from exc


def _device_id(value: Any, source: Source) -> str | None:
    if value is ABSENT or value is None or isinstance(value, bool | dict | list):
        return None
    theirs = str(value).strip()
    ours = source.device_ids.get(theirs, source.device_prefix + theirs)
    return ours if DEVICE_ID.fullmatch(ours) else None


def _raw(device_id: str, item: dict[str, Any], reason: str) -> tuple[str, bytes, bool]:
    # msgspec reads integers beyond 64 bits and does not write them.
    raw = json.dumps(item, ensure_ascii=False, separators=(",", ":")).encode()
    kept = raw[:MOST_RAW_BYTES].decode("utf-8", "replace")
    body = {
        "v": VERSION, "device_id": device_id, "type": "unreadable", "boot_id": BOOT_ID,
        "seq": int.from_bytes(hashlib.sha256(raw).digest()[:8], "big") >> 1, "reason": reason, "item": kept,
    }  # fmt: skip
    while len(msgspec.json.encode(body)) > EXT_MAX_BYTES:
        body["item"] = kept = kept[: len(kept) // 2]
    return device_id, msgspec.json.encode(body), False


def _sequence(fields: dict[str, Any]) -> int:
    """Return a report's ``seq``: 63 bits of a hash of what it says, so that a repeat is a duplicate."""
    said = msgspec.json.encode(fields, order="sorted")
    return int.from_bytes(hashlib.sha256(said).digest()[:8], "big") >> 1


def _error(source: Source, code: str, message: str) -> Upstream:
    return Upstream(f"{source.label}: {message}", code=code)
