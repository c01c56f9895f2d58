"""Reports as rows of PostgreSQL's binary COPY format (PGCOPY), packed by hand.

A driver that looks at every value's type spends several times as long per report; here the column
types are known. Column order is that of ``STAGE_COLUMNS`` in ``store.py``.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from core.domain.report import Report

HEADER = b"PGCOPY\n\xff\r\n\x00" + bytes(8)
TRAILER = b"\xff\xff"
COLUMNS = 34
"""n, reason, then the 32 columns of ``telemetry``."""

POSTGRES_EPOCH_MS = 946_684_800_000
# Years 1 to 9999, which timestamptz and datetime both hold; a wilder time cannot be a column.
EARLIEST_MS = -62_135_596_800_000
LATEST_MS = 253_402_300_799_999
TEXT_OID = 25

_NULL = b"\xff\xff\xff\xff"
_TRUE = b"\x00\x00\x00\x01\x01"
_FALSE = b"\x00\x00\x00\x01\x00"
_NO_ALARMS = struct.pack(">iiiI", 12, 0, 0, TEXT_OID)
_start = struct.Struct(">hii").pack
_length = struct.Struct(">i").pack
_int8 = struct.Struct(">iq").pack
_int4 = struct.Struct(">ii").pack
_int2 = struct.Struct(">ih").pack
_float8 = struct.Struct(">id").pack
_array = struct.Struct(">iiiIii").pack


def pack(rows: Iterable[tuple[int, Report, str | None]]) -> bytes:
    """Return a whole COPY stream of (n, report, reason why it is undated or None)."""
    parts = [HEADER]
    parts.extend(_row(n, report, reason) for n, report, reason in rows)
    parts.append(TRAILER)
    return b"".join(parts)


def _row(n: int, report: Report, reason: str | None) -> bytes:
    sha256 = report.sha256
    return b"".join((
        _start(COLUMNS, 4, n),
        _text(reason),
        _text(report.device_id),
        _int8(8, (report.t_ms - POSTGRES_EPOCH_MS) * 1000),
        _int8(8, report.boot_id),
        _int8(8, report.seq),
        _text(report.vehicle_id),
        _text(report.type),
        _int8(8, (report.received_ms - POSTGRES_EPOCH_MS) * 1000),
        _moment(report.fix_ms),
        _moment(report.device_ms),
        _TRUE if report.fix_valid else _FALSE,
        _float(report.lat),
        _float(report.lon),
        _float(report.speed_kmh),
        _float(report.heading_deg),
        _float(report.accuracy_m),
        _NULL if report.sat is None else _int2(2, report.sat),
        _float(report.hdop),
        _text(report.fix_source),
        _flag(report.ignition),
        _flag(report.motion),
        _float(report.odometer_km),
        _float(report.ext_power_v),
        _flag(report.ext_power_ok),
        _float(report.batt_pct),
        _float(report.batt_v),
        _float(report.rssi_dbm),
        _text(report.mode),
        _NULL if report.next_report_s is None else _int4(4, report.next_report_s),
        _TRUE if report.buffered else _FALSE,
        _texts(report.alarms) if report.alarms else _NO_ALARMS,
        _length(len(sha256)) + sha256,
        # jsonb's binary form is a version byte before the text.
        _NULL if report.ext is None else _length(len(report.ext) + 1) + b"\x01" + report.ext,
    ))  # fmt: skip


def _text(value: str | None) -> bytes:
    if value is None:
        return _NULL
    raw = value.encode()
    return _length(len(raw)) + raw


def _float(value: float | None) -> bytes:
    return _NULL if value is None else _float8(8, value)


def _flag(value: bool | None) -> bytes:
    if value is None:
        return _NULL
    return _TRUE if value else _FALSE


def _moment(moment_ms: int | None) -> bytes:
    if moment_ms is None or not EARLIEST_MS <= moment_ms <= LATEST_MS:
        return _NULL
    return _int8(8, (moment_ms - POSTGRES_EPOCH_MS) * 1000)


def _texts(values: tuple[str, ...]) -> bytes:
    body = b"".join(map(_text, values))
    return _array(20 + len(body), 1, 0, TEXT_OID, len(values), 1) + body
