"""Fixtures around the real ingest process: a fleet that publishes by MQTT, its log, and the comparison.

ingest_rig    function  registered devices, a broker of its own, `python -m ingest` on demand
pipeline      function  the stages alone, against a database
"""

from __future__ import annotations

import contextlib
import csv
import hashlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from collateral import provisioning
from core import topics
from core.clock import WallClock, monotonic, wall_now
from core.db.pool import Connection, connect
from core.telemetry.partitions import Partitions
from core.telemetry.writing import store as telemetry
from ingest.bindings import BindingCache
from ingest.checking.check import CheckReport, check, read_log, wait_for_empty_backlog
from ingest.committing import commit
from ingest.domain import Delivery
from ingest.pipeline import prepare
from ingest.storing import Attempt, Tools
from tests.fix_stack import BrokerUnderTest, eventually
from tests.mqtt_talk import Talker

ROOT = Path(__file__).resolve().parents[1]
SILENT_PROCESS = [sys.executable, "-m", "ingest"]


def rfc3339(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def position(device_id: str, seq: int, moment: datetime | None = None, /, **changes: Any) -> dict[str, Any]:
    """A good position report, changed as told; a change to None leaves the field out."""
    moment = moment or wall_now()
    report = {
        "v": 1, "device_id": device_id, "type": "position", "boot_id": 7, "seq": seq,
        "device_time": rfc3339(moment), "fix_time": rfc3339(moment), "fix_valid": True,
        "lat": 30.2 + seq * 1e-5, "lon": 117.9, "speed_kmh": 31.5, "heading_deg": 90.0, "accuracy_m": 8.0,
        "sat": 11, "hdop": 0.9, "ignition": True, "odometer_km": 1000.5, "ext_power_v": 13.8, "batt_pct": 96.0,
        "rssi_dbm": -71.0, "alarms": [],
    } | changes  # fmt: skip
    return {name: value for name, value in report.items() if value is not None}


@dataclass
class IngestProcess:
    """`python -m ingest` as a child."""

    process: subprocess.Popen[bytes]
    log: Path

    def kill(self) -> None:
        self.process.kill()
        self.process.wait(timeout=20)

    def stop(self) -> int:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGCONT)  # a test may have frozen it
            self.process.send_signal(signal.SIGTERM)
        return self.process.wait(timeout=60)

    def log_text(self) -> str:
        return self.log.read_text(encoding="utf-8", errors="replace")


@dataclass
class IngestRig:
    """Everything around one ingest process."""

    database_url: str
    broker: BrokerUnderTest
    folder: Path
    passwords: dict[str, str] = field(default_factory=dict)
    rows: list[tuple[str, int, int, str, int]] = field(default_factory=list)
    talkers: dict[str, Talker] = field(default_factory=dict)
    processes: list[IngestProcess] = field(default_factory=list)
    settings: dict[str, str] = field(default_factory=dict)
    _pending: list[tuple[Talker, int, list[int]]] = field(default_factory=list)

    def register(self, *device_ids: str) -> None:
        """Register devices, each in a vehicle of its own, and give them broker accounts."""
        with connect(self.database_url, name="test") as conn:
            for device_id in device_ids:
                given = provisioning.add_device(conn, device_id, f"car-{device_id}")
                self.passwords[device_id] = given.password
        for device_id in device_ids:
            self.broker.add_user(device_id, self.passwords[device_id])

    def environment(self) -> dict[str, str]:
        return os.environ | {
            "PLEDGEWATCH_DATABASE_URL": self.database_url,
            "PLEDGEWATCH_MQTT_URL": self.broker.ingest_url,
        } | self.settings  # fmt: skip

    def start(self, command: list[str] | None = None, **settings: str) -> IngestProcess:
        """Start the process, or a mutant of it."""
        log = self.folder / f"ingest-{len(self.processes)}.log"
        with log.open("wb") as out:
            process = subprocess.Popen(
                command or SILENT_PROCESS, cwd=ROOT, env=self.environment() | settings, stdout=out, stderr=out
            )
        started = IngestProcess(process, log)
        self.processes.append(started)
        return started

    def start_and_wait(self, command: list[str] | None = None, **settings: str) -> IngestProcess:
        """Start the process and wait until its session exists: before, the broker keeps nothing for it."""
        before = self.ask("SELECT coalesce(max(connected_at), 'epoch') FROM ingest_slot")[0][0]
        started = self.start(command, **settings)
        eventually(
            lambda: (
                self.ask("SELECT slot FROM ingest_slot WHERE connected_at > %s", before)
                or (started.process.poll() is not None and pytest.fail(started.log_text()))
            ),
            within_s=75,
            what="the session of a slot",
        )
        return started

    def ask(self, query: str, *values: Any) -> list[tuple[Any, ...]]:
        with connect(self.database_url, name="test", autocommit=True) as conn:
            return conn.execute(query, values).fetchall()

    def talker(self, device_id: str) -> Talker:
        if device_id not in self.talkers:
            self.talkers[device_id] = Talker(
                self.broker.host, self.broker.port, device_id, device_id, self.passwords[device_id]
            ).connected()
        return self.talkers[device_id]

    def send(
        self, device_id: str, payload: bytes, *, kind: str = "telemetry", shard: int | None = None
    ) -> int:
        """Publish bytes; the acknowledgement is looked at later."""
        place = topics.default_shard(device_id) if shard is None else shard
        return self.talker(device_id).send(topics.build(place, device_id, kind), payload)

    def report(self, device_id: str, *reports: dict[str, Any], kind: str = "telemetry") -> None:
        """Publish reports as one message, and remember them for the publish log."""
        items = [json.dumps(report, separators=(",", ":"), ensure_ascii=False) for report in reports]
        payload = items[0] if len(items) == 1 else "[" + ",".join(items) + "]"
        self.raw(device_id, payload.encode(), [item.encode() for item in items], kind=kind)

    def raw(self, device_id: str, payload: bytes, items: list[bytes], *, kind: str = "telemetry") -> None:
        """Publish any bytes; ``items`` are the reports that the device thinks are in them."""
        mid = self.send(device_id, payload, kind=kind)
        places = []
        for item in items:
            fields = identity_of(item)
            places.append(len(self.rows))
            self.rows.append((device_id, *fields, hashlib.sha256(item).hexdigest(), -1))
        self._pending.append((self.talker(device_id), mid, places))

    def await_acks(self, within_s: float = 30.0) -> None:
        """Wait until the broker has acknowledged everything published, and note it."""
        for talker, mid, places in self._pending:
            eventually(partial(talker.acknowledged, mid), within_s=within_s, what="PUBACK")
            for place in places:
                self.rows[place] = (*self.rows[place][:4], 0)
        self._pending.clear()

    def write_log(self) -> Path:
        path = self.folder / "acklog.csv"
        with path.open("w", newline="", encoding="utf-8") as handle:
            writer = csv.writer(handle)
            writer.writerow(["device_id", "boot_id", "seq", "sha256", "reason_code"])
            writer.writerows((*row[:4], "" if row[4] < 0 else row[4]) for row in self.rows)
        return path

    def checked(self, *, slots: int = 1, wait_s: float = 60.0) -> CheckReport:
        """Wait for acknowledgements and an empty backlog, and compare."""
        self.await_acks()
        with connect(self.database_url, name="check", autocommit=True) as conn:
            wait_for_empty_backlog(conn, slots, wait_s)
            return check(conn, read_log(self.write_log()))

    def ledger(self) -> dict[str, int]:
        names = (
            "messages", "received", "inserted", "duplicate", "dup_conflict", "undated", "undated_duplicate",
            "status", "quarantined", "dead",
        )  # fmt: skip
        sums = ", ".join(f"coalesce(sum(n_{name}), 0)::int" for name in names)
        return dict(zip(names, self.ask(f"SELECT {sums} FROM ingest_ledger")[0], strict=True))

    def close(self) -> None:
        for talker in self.talkers.values():
            talker.close()
        for process in self.processes:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.stop()
            if process.process.poll() is None:
                process.kill()


def identity_of(item: bytes) -> tuple[int, int]:
    """Return (boot_id, seq) as the device meant them; bytes that are no report get numbers of their own."""
    with contextlib.suppress(ValueError, TypeError, KeyError):
        fields = json.loads(item)
        return int(fields["boot_id"]), int(fields["seq"])
    return -1, int.from_bytes(hashlib.sha256(item).digest()[:6], "big")


@pytest.fixture
def ingest_rig(database_url: str, fresh_broker: BrokerUnderTest, tmp_path: Path) -> Iterator[IngestRig]:
    rig = IngestRig(database_url, fresh_broker, tmp_path)
    yield rig
    rig.close()


def minutes_ago(minutes: float) -> datetime:
    return wall_now() - timedelta(minutes=minutes)


@dataclass
class Pipeline:
    """The stages against a real database, without a broker."""

    conn: Connection
    tools: Tools

    def put(self, *deliveries: Delivery) -> Attempt:
        """Commit deliveries as one batch."""
        return commit(self.conn, prepare(list(deliveries), self.tools.clock), self.tools)

    def ask(self, query: str, *values: Any) -> list[tuple[Any, ...]]:
        return self.conn.execute(query, values).fetchall()

    def quarantined(self) -> dict[str, int]:
        return dict(self.ask("SELECT reason, sum(times)::int FROM quarantine GROUP BY reason"))

    def counts(self, *tables: str) -> tuple[int, ...]:
        return tuple(self.ask(f"SELECT count(*) FROM {table}")[0][0] for table in tables)


def delivery(
    *items: dict[str, Any] | bytes,
    device_id: str = "d1",
    kind: str = "telemetry",
    shard: int = 0,
    topic: str | None = None,
) -> Delivery:
    """Return a message of these reports, or bytes, as the transport would hand it over."""
    raws = [item if isinstance(item, bytes) else json.dumps(item).encode() for item in items]
    payload = raws[0] if len(raws) == 1 else b"[" + b",".join(raws) + b"]"
    return Delivery(None, topic or topics.build(shard, device_id, kind), payload, monotonic())


@pytest.fixture
def pipeline(database_url: str) -> Iterator[Pipeline]:
    """Devices d1 to d9 are registered; d8 is revoked, d9 is in no vehicle. Rules are not wired."""
    with connect(database_url, name="test", autocommit=True) as conn:
        with conn.transaction():
            for number in range(1, 9):
                provisioning.add_device(conn, f"d{number}", f"car-{number}")
            provisioning.add_device(conn, "d9")
            provisioning.revoke(conn, "d8")
        telemetry.prepare(conn)
        yield Pipeline(conn, Tools(WallClock(), BindingCache(), Partitions(), None))
