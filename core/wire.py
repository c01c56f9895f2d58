"""The wire schema: what one report looks like as JSON (reference/telematics.md (f)).

``ReportMessage`` checks types and ranges; unknown fields are kept as ``ext``. A payload is one
object or an array of at most 200; each element is decoded by itself, so one bad item never takes
its neighbours with it. ``sha256`` is over the element's bytes as they stood in the payload.
"""

from __future__ import annotations

import hashlib
import re
from datetime import UTC, datetime
from functools import lru_cache
from typing import Annotated, Any

import msgspec

from core.clock import to_ms
from core.domain.report import Report
from core.errors import Rejected
from core.topics import DEVICE_ID, MAX_PAYLOAD_BYTES, MAX_REPORTS_PER_MESSAGE

VERSION = 1
EXT_MAX_BYTES = 2048

Text = Annotated[str, msgspec.Meta(max_length=64)]
Int64 = Annotated[int, msgspec.Meta(ge=-(2**63), le=2**63 - 1)]
Moment = datetime | Int64


class ReportMessage(msgspec.Struct, gc=False):
    """One report on the wire; units in names, positions in degrees of ``crs``."""

    v: int
    device_id: Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9_-]{1,32}$")]
    type: Text
    boot_id: Int64
    seq: Int64
    fix_time: Moment | None = None
    device_time: Moment | None = None
    buffered: bool = False
    lat: Annotated[float, msgspec.Meta(ge=-90, le=90)] | None = None
    lon: Annotated[float, msgspec.Meta(ge=-180, le=180)] | None = None
    crs: Text = "wgs84"
    fix_valid: bool | None = None
    fix_source: Text | None = None
    speed_kmh: Annotated[float, msgspec.Meta(ge=0, le=300)] | None = None
    heading_deg: Annotated[float, msgspec.Meta(ge=0, le=360)] | None = None
    accuracy_m: Annotated[float, msgspec.Meta(ge=0)] | None = None
    sat: Annotated[int, msgspec.Meta(ge=0, le=200)] | None = None
    hdop: Annotated[float, msgspec.Meta(ge=0)] | None = None
    ignition: bool | None = None
    motion: bool | None = None
    odometer_km: Annotated[float, msgspec.Meta(ge=0)] | None = None
    ext_power_v: Annotated[float, msgspec.Meta(ge=0, le=1000)] | None = None
    ext_power_ok: bool | None = None
    batt_pct: Annotated[float, msgspec.Meta(ge=0, le=100)] | None = None
    batt_v: Annotated[float, msgspec.Meta(ge=0, le=100)] | None = None
    rssi_dbm: Annotated[float, msgspec.Meta(ge=-200, le=50)] | None = None
    alarms: Annotated[list[Text], msgspec.Meta(max_length=64)] = []
    mode: Text | None = None
    next_report_s: Annotated[int, msgspec.Meta(ge=0, le=31_536_000)] | None = None


class _KnownFields(ReportMessage, forbid_unknown_fields=True, gc=False):
    """The same, read in one pass: most devices say nothing that the schema does not know.

    Its device id is matched once for each device and not once for each report.
    """

    device_id: str


_KNOWN = frozenset(ReportMessage.__struct_fields__)
_raw_list = msgspec.json.Decoder(list[msgspec.Raw])
_message = msgspec.json.Decoder(ReportMessage)
_known_message = msgspec.json.Decoder(_KnownFields)
_mapping = msgspec.json.Decoder(dict[str, Any])
_NUL = re.compile(rb"(?<!\\)(?:\\\\)*\\u0000")  # an escaped backslash before "u0000" is just text


def split_payload(payload: bytes) -> list[bytes]:
    """Return the bytes of each report in a payload.

    Raises:
        Rejected: too long, empty, more than 200 items, or not JSON (codes ``payload_too_large``,
            ``payload_empty``, ``too_many_reports``, ``not_json``).
    """
    if len(payload) > MAX_PAYLOAD_BYTES:
        raise Rejected(
            f"Expected at most {MAX_PAYLOAD_BYTES} bytes, was {len(payload)}", code="payload_too_large"
        )
    text = payload.strip()
    if not text:
        raise Rejected("Expected a JSON object or array, was an empty payload", code="payload_empty")
    if not text.startswith(b"["):
        return [text]
    try:
        items = [bytes(raw).strip() for raw in _raw_list.decode(text)]
    except (msgspec.DecodeError, RecursionError) as exc:
        raise Rejected(f"Expected JSON, was not: {exc}", code="not_json") from exc
    if len(items) > MAX_REPORTS_PER_MESSAGE:
        raise Rejected(
            f"Expected at most {MAX_REPORTS_PER_MESSAGE} reports in a message, was {len(items)}",
            code="too_many_reports",
        )
    if not items:
        raise Rejected("Expected at least one report, was an empty array", code="payload_empty")
    return items


def decode(item: bytes) -> tuple[ReportMessage, bytes | None]:
    """Decode one report; returns it and the JSON of its unknown fields (or None).

    Raises:
        Rejected: not JSON (``not_json``), wrong version (``unknown_version``), a missing field,
            a wrong type or a value out of range (``schema``).
    """
    try:
        message: ReportMessage = _known_message.decode(item)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return _decode_any(item)
    if not _is_device_id(message.device_id):
        return _decode_any(item)
    _check(message)
    return message, None


@lru_cache(maxsize=32_768)
def _is_device_id(text: str) -> bool:
    return DEVICE_ID.fullmatch(text) is not None


def _decode_any(item: bytes) -> tuple[ReportMessage, bytes | None]:
    """Decode a report that has unknown fields, or say what is wrong with it."""
    try:
        message = _message.decode(item)
    except msgspec.ValidationError as exc:
        raise Rejected(str(exc), code="schema") from exc
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as exc:
        raise Rejected(f"Expected JSON, was not: {exc}", code="not_json") from exc
    _check(message)
    return message, _unknown_fields(item)


def _check(message: ReportMessage) -> None:
    if message.v != VERSION:
        raise Rejected(f"Expected v = {VERSION}, was {message.v}", code="unknown_version")
    if message.type == "position" and (
        message.fix_time is None or message.lat is None or message.lon is None or message.fix_valid is None
    ):
        _require_position(message)


def _require_position(message: ReportMessage) -> None:
    missing = [name for name in ("fix_time", "lat", "lon", "fix_valid") if getattr(message, name) is None]
    if missing:
        raise Rejected(f"Expected {', '.join(missing)} in a position report, was missing", code="schema")


def _unknown_fields(item: bytes) -> bytes | None:
    try:
        fields = _mapping.decode(item)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as exc:
        # Text of unknown fields is first decoded here, so bad UTF-8 in it shows only now.
        raise Rejected(f"Expected a JSON object, was not: {exc}", code="not_json") from exc
    extra = {name: value for name, value in fields.items() if name not in _KNOWN}
    if not extra:
        return None
    ext = msgspec.json.encode(extra)
    if len(ext) > EXT_MAX_BYTES:
        raise Rejected(f"Expected unknown fields of at most {EXT_MAX_BYTES} bytes", code="ext_too_large")
    if b"\\u0000" in ext and _NUL.search(ext):
        raise Rejected("Expected text without U+0000", code="schema")
    return ext


def moment_ms(moment: Moment | None) -> int | None:
    """Return Unix milliseconds of a wire time (RFC 3339, naive means UTC; or epoch ms)."""
    if moment is None or isinstance(moment, int):
        return moment
    return to_ms(moment if moment.tzinfo else moment.replace(tzinfo=UTC))


def fingerprint(item: bytes) -> bytes:
    """Return the SHA-256 that tells a repeat from a conflicting second report."""
    return hashlib.sha256(item).digest()


def to_report(message: ReportMessage, *, received_ms: int, sha256: bytes, ext: bytes | None) -> Report:
    """Build the domain report; ``t_ms`` is -1 when the message carries no time at all.

    Positions are copied as they are: the caller converts ``crs`` to WGS-84 first.
    """
    fix_ms, device_ms = moment_ms(message.fix_time), moment_ms(message.device_time)
    t_ms = fix_ms if fix_ms is not None else device_ms
    # By position, in the order of Report: half the time of names.
    return Report(
        message.device_id, -1 if t_ms is None else t_ms, message.boot_id, message.seq, message.type,
        received_ms, None, fix_ms, device_ms, bool(message.fix_valid), message.lat, message.lon,
        message.speed_kmh, message.heading_deg, message.accuracy_m, message.sat, message.hdop,
        message.fix_source, message.ignition, message.motion, message.odometer_km, message.ext_power_v,
        message.ext_power_ok, message.batt_pct, message.batt_v, message.rssi_dbm, message.mode,
        message.next_report_s, message.buffered, tuple(message.alarms), sha256, ext,
    )  # fmt: skip
