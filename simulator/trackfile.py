"""Writes a fleet's reports as a track file (contracts, section 3), and its labels as CSV."""

from __future__ import annotations

import csv
import gzip
import io
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TextIO

import msgspec

from simulator.domain import DeviceReport, Label
from simulator.fleet.tracker import rfc3339

COLUMNS = (
    "vehicle_id", "ts", "lat", "lon", "speed_kmh", "ignition", "accuracy_m", "satellites", "ext_power_v",
    "odometer_km", "alarms", "received_at", "device_id",
)  # fmt: skip
_decode = msgspec.json.Decoder(dict[str, Any]).decode


def write_tracks(path: Path, reports: Iterable[DeviceReport]) -> int:
    """Write one row per report in send order and return how many; ``.gz`` is compressed.

    The same reports give the same bytes. A report without a fix has blank coordinates.
    """
    written = 0
    with _open(path) as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(COLUMNS)
        for report in reports:
            writer.writerow(_row(report))
            written += 1
    return written


def write_labels(path: Path, labels: Iterable[Label]) -> int:
    """Write the labels CSV (``vehicle_id, kind, start, end, rule, scope``) and return how many."""
    written = 0
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(("vehicle_id", "kind", "start", "end", "rule", "scope"))
        for label in labels:
            times = rfc3339(label.start_ms), rfc3339(label.end_ms)
            writer.writerow((label.vehicle_id, label.kind, *times, label.rule, label.scope))
            written += 1
    return written


def _row(report: DeviceReport) -> tuple[object, ...]:
    said = _decode(report.body)
    return (
        report.vehicle_id,
        rfc3339(report.t_ms),
        said.get("lat"),
        said.get("lon"),
        said.get("speed_kmh"),
        said.get("ignition") if said.get("ignition") is None else int(said["ignition"]),
        said.get("accuracy_m"),
        said.get("sat"),
        said.get("ext_power_v"),
        said.get("odometer_km"),
        " ".join(said.get("alarms", ())),
        rfc3339(report.send_ms),
        report.device_id,
    )


@contextmanager
def _open(path: Path) -> Iterator[TextIO]:
    if path.suffix != ".gz":
        with path.open("w", encoding="utf-8", newline="") as file:
            yield file
        return
    with (
        path.open("wb") as raw,
        # No name and no time in the header: the file's hash is the boot id of its replay.
        gzip.GzipFile(filename="", mode="wb", fileobj=raw, mtime=0, compresslevel=6) as packed,
        io.TextIOWrapper(packed, encoding="utf-8", newline="") as file,
    ):
        yield file
