"""Recorded track files as device reports: the file's times, its hash as boot, the rank of time as number."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import msgspec

from core import topics
from core.errors import Rejected
from core.tracks import TrackFile, TrackRow, read_tracks
from core.wire import VERSION
from simulator.domain import DeviceReport
from simulator.fleet.tracker import rfc3339

LONGEST_DELAY_MS = 24 * 3_600_000
# What a device can say; other columns of a file are about the recording, not about the vehicle.
WIRE_FIELDS = (
    "lat", "lon", "speed_kmh", "heading_deg", "accuracy_m", "sat", "hdop", "fix_valid", "ignition", "motion",
    "buffered", "odometer_km", "ext_power_v", "ext_power_ok", "batt_pct", "batt_v", "rssi_dbm", "mode",
    "next_report_s", "alarms",
)  # fmt: skip
_encode = msgspec.json.Encoder().encode


@dataclass(frozen=True, slots=True)
class Part:
    """The ``number``-th (from 1) of ``of`` pieces."""

    number: int
    of: int

    @classmethod
    def parse(cls, text: str) -> Part:
        """Read ``I/N``.

        Raises:
            Rejected: another form, or I outside 1..N.
        """
        number, _, of = text.partition("/")
        if not (number.isdigit() and of.isdigit() and 1 <= int(number) <= int(of)):
            raise Rejected(f"Expected --part I/N with 1 <= I <= N (2/10), was {text!r}", code="bad_part")
        return cls(int(number), int(of))


class Replay:
    """A recorded file, ready to be sent; identities are assigned from the whole file before any cut."""

    def __init__(
        self,
        path: Path,
        *,
        disorder_seed: int | None = None,
        double: bool = False,
        part: Part | None = None,
    ) -> None:
        self._file: TrackFile = read_tracks(path)
        if not self._file.rows:
            raise Rejected(f"Expected at least one row in {path.name}, was none", code="empty_tracks")
        self._shift_ms = 0
        schedule = self._schedule(disorder_seed, double=double)
        if part is not None:
            size = len(schedule)
            schedule = schedule[size * (part.number - 1) // part.of : size * part.number // part.of]
        self._sequence = schedule
        self._ids = {row.vehicle_id: device_id_of(row.vehicle_id) for row in self._file.rows}

    def __len__(self) -> int:
        return len(self._sequence)

    @property
    def first_ms(self) -> int:
        """Return when the first report is sent."""
        return self._sequence[0][0] + self._shift_ms if self._sequence else 0

    @property
    def last_ms(self) -> int:
        """Return when the last report is sent."""
        return self._sequence[-1][0] + self._shift_ms if self._sequence else 0

    @property
    def devices(self) -> list[tuple[str, str]]:
        """Return (vehicle id, device id) of the whole file, not only of this part."""
        return sorted({(row.vehicle_id, self._device_id(row)) for row in self._file.rows})

    def shift_last_to(self, moment_ms: int) -> None:
        """Move all times of the file so that its last report is sent at a moment."""
        self._shift_ms = moment_ms - self._sequence[-1][0] if self._sequence else 0

    def reports(self) -> Iterator[DeviceReport]:
        """Yield the reports in send order."""
        for send_ms, _, index in self._sequence:
            yield self._report(self._file.rows[index], send_ms + self._shift_ms)

    def _schedule(self, disorder_seed: int | None, *, double: bool) -> list[tuple[int, int, int]]:
        """Return (send time, tie break, row) sorted."""
        rng = random.Random(f"disorder:{disorder_seed}")
        schedule = []
        for index, row in enumerate(self._file.rows):
            sent_ms = int(row.fields.get("received_ms", row.ts_ms))
            for copy in range(2 if double else 1):
                delay_ms = rng.randrange(LONGEST_DELAY_MS) if disorder_seed is not None else 0
                schedule.append((sent_ms + delay_ms, 2 * index + copy, index))
        schedule.sort()
        return schedule

    def _device_id(self, row: TrackRow) -> str:
        named = row.fields.get("device_id")
        return device_id_of(named) if isinstance(named, str) else self._ids[row.vehicle_id]

    def _report(self, row: TrackRow, send_ms: int) -> DeviceReport:
        t_ms = row.ts_ms + self._shift_ms
        device_id = self._device_id(row)
        said = {name: row.fields[name] for name in WIRE_FIELDS if name in row.fields}
        message: dict[str, object] = {
            "v": VERSION, "device_id": device_id, "type": "position", "boot_id": self._file.boot_id,
            "seq": row.seq,
        }  # fmt: skip
        if "lat" in said and "lon" in said:
            message |= {"fix_time": rfc3339(t_ms), "fix_valid": True}
        else:
            message["type"] = "alarm" if said.get("alarms") else "heartbeat"
            message["device_time"] = rfc3339(t_ms)
        message |= said
        return DeviceReport(
            send_ms=send_ms, t_ms=t_ms, vehicle_id=row.vehicle_id, device_id=device_id,
            boot_id=self._file.boot_id, seq=row.seq, kind="telemetry", body=_encode(message),
        )  # fmt: skip


def device_id_of(name: str) -> str:
    """Return the name itself when a device can have it, else a hash of it that is always the same."""
    if topics.DEVICE_ID.fullmatch(name) and name[0].isalnum():
        return name
    return "t" + hashlib.sha256(name.encode()).hexdigest()[:24]
