"""Recorded track files (contracts, section 3): CSV, plain or gzip, rows in any order, repeats allowed.

``boot_id`` is the file's hash and ``seq`` the rank of a row's time within its vehicle, both from
the whole file: repeats share an identity, and cutting or shuffling a file changes none.
"""

from __future__ import annotations

import csv
import gzip
import hashlib
import math
import re
import zlib
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec

from core.clock import to_ms
from core.errors import NotFound, Rejected

REQUIRED = ("vehicle_id", "ts", "lat", "lon")
LATEST_S = 10**11
"""Above this a number is no Unix time in seconds (milliseconds were meant)."""


class TrackRow(msgspec.Struct, frozen=True, gc=False):
    """One row. ``fields`` has what the row says under the wire schema's names, typed; blanks are absent.

    ``lat`` and ``lon`` are in it unless blank, ``received_at`` as ``received_ms``, unknown columns as text.
    """

    vehicle_id: str
    ts_ms: int
    seq: int
    fields: dict[str, Any]


class TrackFile(msgspec.Struct, frozen=True):
    """A whole file, rows in the order of the file."""

    boot_id: int
    rows: list[TrackRow]

    def distinct(self) -> Iterator[TrackRow]:
        """Yield the first row of every (vehicle, device, time)."""
        seen = set[tuple[str, str | None, int]]()
        for row in self.rows:
            key = (row.vehicle_id, row.fields.get("device_id"), row.ts_ms)
            if key not in seen:
                seen.add(key)
                yield row


def read_tracks(path: Path | str) -> TrackFile:
    """Read a track file.

    Raises:
        NotFound: there is no such file.
        Rejected: it is not a track file (``bad_track``); the message names the line.
    """
    path = Path(path)
    try:
        data = path.read_bytes()
    except OSError as exc:
        raise NotFound(f"Expected a track file, cannot read {path.name}: {exc.strerror}") from exc
    if data[:2] == b"\x1f\x8b":
        try:
            data = gzip.decompress(data)
        except (OSError, EOFError, zlib.error) as exc:
            raise Rejected(f"Expected a gzip file, was damaged: {exc}", code="bad_track") from exc
    boot_id = int.from_bytes(hashlib.sha256(data).digest()[:8]) >> 1
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as exc:
        line = data.count(b"\n", 0, exc.start) + 1
        raise Rejected(f"Line {line}: expected UTF-8", code="bad_track", line=line) from exc
    parsed = list(_parse(text))
    times: dict[str, set[int]] = {}
    for vehicle_id, ts_ms, _ in parsed:
        times.setdefault(vehicle_id, set()).add(ts_ms)
    ranks = {vehicle_id: {t: n for n, t in enumerate(sorted(found))} for vehicle_id, found in times.items()}
    rows = [TrackRow(v, t, ranks[v][t], fields) for v, t, fields in parsed]
    return TrackFile(boot_id, rows)


def _parse(text: str) -> Iterator[tuple[str, int, dict[str, Any]]]:
    reader = csv.reader(text.splitlines(), strict=True)
    header: list[str] = []
    try:
        header = [name.strip() for name in next(reader, [])]
        _check_header(header)
        readers = [(name, _COLUMNS.get(name)) for name in header]
        for cells in reader:
            if not cells:
                continue
            if len(cells) != len(header):
                raise Rejected(f"expected {len(header)} columns, was {len(cells)}")
            yield _row(cells, readers)
    except (Rejected, csv.Error) as exc:
        line = max(1, reader.line_num)
        message = exc.message if isinstance(exc, Rejected) else f"expected CSV, was not: {exc}"
        raise Rejected(f"Line {line}: {message}", code="bad_track", line=line) from exc


def _check_header(header: list[str]) -> None:
    missing = [name for name in REQUIRED if name not in header]
    if missing:
        raise Rejected(f"expected a header with {', '.join(REQUIRED)}; {', '.join(missing)} was missing")
    if len(set(header)) != len(header):
        raise Rejected("expected each column once, one came twice")


def _row(
    cells: list[str], readers: list[tuple[str, tuple[str, Callable[[str], Any]] | None]]
) -> tuple[str, int, dict[str, Any]]:
    fields: dict[str, Any] = {}
    vehicle_id, ts_ms = "", None
    for cell, (name, known) in zip(cells, readers, strict=True):
        cell = cell.strip()
        if not cell:
            continue
        if name == "vehicle_id":
            vehicle_id = cell
        elif name == "ts":
            ts_ms = moment_ms(cell)
        elif known is None:
            fields[name] = cell
        else:
            key, read = known
            try:
                fields[key] = read(cell)
            except ValueError as exc:
                raise Rejected(f"expected {name} {exc}, was {cell!r}") from exc
    if not vehicle_id or ts_ms is None:
        raise Rejected(f"expected {'ts' if vehicle_id else 'vehicle_id'}, was blank")
    return vehicle_id, ts_ms, fields


def moment_ms(text: str) -> int:
    """Return Unix milliseconds of Unix seconds or RFC 3339 (without an offset: UTC).

    Raises:
        Rejected: neither.
    """
    try:
        seconds = float(text)
    except ValueError:
        try:
            moment = datetime.fromisoformat(text)
        except ValueError as exc:
            raise Rejected(f"expected ts in Unix seconds or RFC 3339, was {text!r}") from exc
        return to_ms(moment if moment.tzinfo else moment.replace(tzinfo=UTC))
    if not 0.0 <= seconds < LATEST_S:
        raise Rejected(f"expected ts in Unix seconds, was {text!r}")
    return round(seconds * 1000.0)


def _within(low: float, high: float) -> Callable[[str], float]:
    def read(text: str) -> float:
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        if not low <= value <= high:
            raise ValueError(f"between {low:g} and {high:g}")
        return value

    return read


def _whole(low: int, high: int) -> Callable[[str], int]:
    number = _within(low, high)

    def read(text: str) -> int:
        value = number(text)
        if value != int(value):
            raise ValueError("to be a whole number")
        return int(value)

    return read


def _flag(text: str) -> bool:
    value = {"1": True, "true": True, "on": True, "0": False, "false": False, "off": False}.get(text.lower())
    if value is None:
        raise ValueError("to be 1, 0, true, false, on or off")
    return value


def _words(text: str) -> list[str]:
    return [word for word in re.split(r"[\s;,|\[\]\"']+", text) if word]


def _moment(text: str) -> int:
    try:
        return moment_ms(text)
    except Rejected as exc:
        raise ValueError("in Unix seconds or RFC 3339") from exc


_COLUMNS: dict[str, tuple[str, Callable[[str], Any]]] = {
    "lat": ("lat", _within(-90, 90)),
    "lon": ("lon", _within(-180, 180)),
    "speed_kmh": ("speed_kmh", _within(0, 1000)),
    "heading_deg": ("heading_deg", _within(0, 360)),
    "accuracy_m": ("accuracy_m", _within(0, 1e7)),
    "satellites": ("sat", _whole(0, 200)),
    "sat": ("sat", _whole(0, 200)),
    "hdop": ("hdop", _within(0, 1e4)),
    "fix_valid": ("fix_valid", _flag),
    "ignition": ("ignition", _flag),
    "motion": ("motion", _flag),
    "buffered": ("buffered", _flag),
    "odometer_km": ("odometer_km", _within(0, 1e8)),
    "ext_power_v": ("ext_power_v", _within(0, 1000)),
    "ext_power_ok": ("ext_power_ok", _flag),
    "batt_pct": ("batt_pct", _within(0, 100)),
    "batt_v": ("batt_v", _within(0, 100)),
    "rssi_dbm": ("rssi_dbm", _within(-200, 50)),
    "next_report_s": ("next_report_s", _whole(0, 31_536_000)),
    "alarms": ("alarms", _words),
    "received_at": ("received_ms", _moment),
}
