"""The publish log: one row per report sent, with what the broker said to it.

`ingest check` compares it with what is stored. A row is written with one system call when the PUBACK
is read, so a killed simulator loses no row of a report it knew to be acknowledged; the file is flushed
to the disk every second and at the end.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from core.clock import monotonic
from simulator.domain import DeviceReport

HEADER = "device_id,boot_id,seq,sha256,reason_code\n"
SYNC_EVERY_S = 1.0


class AckLog:
    """Appends to a CSV file; ``path`` None keeps counting and writes nothing."""

    def __init__(self, path: Path | None) -> None:
        self._descriptor: int | None = None
        self._synced_at = monotonic()
        if path is not None:
            self._descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
            if os.fstat(self._descriptor).st_size == 0:
                self._write(HEADER)

    def record(self, reports: Iterable[DeviceReport], reason_code: int | None) -> None:
        """Write the rows of one message; None: it was sent and no PUBACK came."""
        if self._descriptor is None:
            return
        code = "" if reason_code is None else str(reason_code)
        self._write(
            "".join(
                f"{report.device_id},{report.boot_id},{report.seq},{report.sha256},{code}\n"
                for report in reports
            )
        )

    def sync_sometimes(self) -> None:
        """Flush to the disk when the last time was a second ago."""
        if self._descriptor is not None and monotonic() - self._synced_at >= SYNC_EVERY_S:
            os.fsync(self._descriptor)
            self._synced_at = monotonic()

    def close(self) -> None:
        """Flush and close; safe to call twice."""
        if self._descriptor is not None:
            os.fsync(self._descriptor)
            os.close(self._descriptor)
            self._descriptor = None

    def _write(self, text: str) -> None:
        data = text.encode("ascii")
        while data and self._descriptor is not None:
            data = data[os.write(self._descriptor, data) :]
