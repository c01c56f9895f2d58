"""What `bench ingest` runs on: a registered fleet with broker accounts, consumers as child processes."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion

from collateral import provisioning
from collateral.fleet import FleetDevice, FleetVehicle
from core.clock import monotonic, to_ms, wall_now
from core.db.pool import Connection, connect
from core.errors import Unavailable
from geofence.editing import put_in_force
from geofence.fence import Fence
from ingest.checking.check import wait_for_empty_backlog
from ingest.mqtt.address import parse_url
from pledgewatch.bench import store
from pledgewatch.bench.cpu import CpuMeter
from pledgewatch.embedded.broker import EmbeddedBroker
from pledgewatch.embedded.pause import Pause
from pledgewatch.embedded.postgres import EmbeddedPostgres
from pledgewatch.embedded.processes import Child, spawn
from simulator.domain import Credential, DeviceReport
from simulator.publish.acklog import AckLog
from simulator.publish.broker import BrokerAddress
from simulator.publish.pace import Pace, Unpaced
from simulator.publish.publisher import Publisher

BACKLOG_WAIT_S = 180.0
CONSUMER_WAIT_S = 240.0
CONSUMER, DATABASE, BROKER = "consumer", "database", "broker"


@dataclass(frozen=True, slots=True)
class Run:
    """What one run took; microseconds of processor time per report by process tree."""

    cpu_us: dict[str, float]
    publisher_us: float
    seconds: float
    reports: int

    @property
    def rate(self) -> float:
        """Return reports per second, from the first publish to the last commit."""
        return self.reports / self.seconds

    @property
    def stored_us(self) -> float:
        """Return what it takes to have one message stored: consumer and database."""
        return self.cpu_us[CONSUMER] + self.cpu_us[DATABASE]


def expect(was: int, wanted: int, what: str) -> None:
    """See that a run did what it was to measure.

    Raises:
        Unavailable: it did not; its figures would mean nothing.
    """
    if was != wanted:
        raise Unavailable(f"Expected {wanted} {what}, was {was}", code="bench_incomplete")


class IngestRig:
    """Devices, broker, database; `publish` and the consumers that take what is published."""

    def __init__(self, server: EmbeddedPostgres, broker: EmbeddedBroker, conn: Connection) -> None:
        self.conn = conn
        self.folder = server.log.parent
        self.acklog = self.folder / "acklog.csv"
        self._server, self._broker = server, broker
        self._credentials: list[Credential] = []

    def register(self, device_ids: Sequence[str], fences: Sequence[Fence]) -> None:
        """Register each device in a vehicle of its own, and put the fences into force."""
        fleet = [FleetVehicle(vehicle_of(one), devices=(FleetDevice(one),)) for one in device_ids]
        with self.conn.transaction():
            given = provisioning.provision_fleet(self.conn, fleet)
            put_in_force(self.conn, fences, now_ms=to_ms(wall_now()))
        self._credentials = [Credential(c.device_id, c.shard, c.username, c.password) for c in given]
        self._broker.reload_credentials(provisioning.broker_accounts(self.conn))

    def start_ingest(self) -> Child:
        """Start the process as `up` does, and wait until it has stored its first probe."""
        child = self._spawn("ingest", [sys.executable, "-m", "ingest"])
        try:
            self.await_stored()
        except Unavailable as exc:
            child.stop()
            raise Unavailable(f"{exc.message}; its log ends:\n{child.log_tail()}", code=exc.code) from exc
        return child

    def through_ingest(self, ingest: Child, reports: Sequence[DeviceReport]) -> Run:
        """Publish as fast as the broker takes it; measure until the last report is committed."""
        meter = self._meter(ingest)
        began_at = wall_now()

        def begin() -> None:
            nonlocal began_at
            self.await_stored()  # what the devices said when they connected
            meter.start()
            began_at = wall_now()

        publisher_us = self.publish(reports, Unpaced(), self.acklog, begin)
        self.await_stored()
        cpu = meter.seconds()
        ended_at = store.stored_until(self.conn, began_at)
        if ended_at is None:
            raise Unavailable("Expected batches in the ledger, found none", code="bench_incomplete")
        return _run(cpu, publisher_us, (ended_at - began_at).total_seconds(), len(reports))

    def through_consumer(self, kind: str, reports: Sequence[DeviceReport]) -> Run:
        """Publish to a consumer of pledgewatch/bench/consumers.py; measure until it says `done`."""
        module = [sys.executable, "-m", "pledgewatch.bench.consumers", kind, str(len(reports))]
        # Logs are appended to: what an earlier run of this kind said must not be taken for this one's words.
        (self.folder / f"{kind}.log").unlink(missing_ok=True)
        child = self._spawn(kind, module)
        try:
            _await_line(child, "ready")
            meter = self._meter(child)
            began_s = 0.0

            def begin() -> None:
                nonlocal began_s
                meter.start()
                began_s = monotonic()

            publisher_us = self.publish(reports, Unpaced(), None, begin)
            done_s = float(_await_line(child, "done ").removeprefix("done "))
            cpu = meter.seconds()
        finally:
            child.stop()
        if done_s <= began_s:
            raise Unavailable(f"Expected {kind} to end after its start, was before", code="bench_incomplete")
        return _run(cpu, publisher_us, done_s - began_s, len(reports))

    def publish(
        self, reports: Sequence[DeviceReport], pace: Pace, log: Path | None, begin: Callable[[], None]
    ) -> float:
        """Send one report to a message, each from its device's own connection; all must be acknowledged.

        ``begin`` is called when everybody is connected. Returns our own processor microseconds per report.
        """
        publisher = Publisher(
            BrokerAddress.parse(self._broker.host_url), self._credentials, AckLog(log), most_per_message=1
        )
        tally = publisher.run(reports, pace, before_start=begin)
        expect(tally.acknowledged, len(reports), "reports acknowledged by the broker")
        return tally.cpu_seconds * 1e6 / len(reports)

    def start_alerts(self) -> Child:
        """Start the process that makes alerts of findings."""
        return self._spawn("alerts", [sys.executable, "-m", "alerts"])

    def await_alerts(self, rule: str, count: int) -> None:
        """Wait until a rule has so many alerts.

        Raises:
            Unavailable: they did not come.
        """
        deadline_s, pause = monotonic() + BACKLOG_WAIT_S, Pause()
        while (found := len(store.event_to_alert_ms(self.conn, rule))) < count:
            if monotonic() > deadline_s:
                raise Unavailable(f"Expected {count} alerts of {rule}, was {found}", code="bench_incomplete")
            pause()

    def stop_database(self) -> None:
        """Take the database away; our own connection ends with it."""
        self.conn.close()
        self._server.stop()

    def start_database(self) -> None:
        """Bring the database back where it was."""
        self.conn = connect(self._server.start(), name="bench", autocommit=True)

    def await_stored(self) -> None:
        """Wait until everything the broker has accepted so far is committed."""
        wait_for_empty_backlog(self.conn, 1, BACKLOG_WAIT_S)

    def forget_session(self, client_id: str) -> None:
        """End a persistent session, or the broker would go on collecting messages for it."""
        address = parse_url(self._broker.mqtt_url)
        client: Any = mqtt.Client(CallbackAPIVersion.VERSION2, client_id=client_id, clean_session=True)
        client.username_pw_set(address.username, address.password)
        client.on_connect = lambda *_: client.disconnect()
        client.connect(address.host, address.port)
        client.loop_forever()

    def _meter(self, consumer: Child) -> CpuMeter:
        database, broker = self._server.pid, self._broker.pid
        if database is None or broker is None:
            raise Unavailable("Expected a running database and broker, was stopped", code="bench_incomplete")
        return CpuMeter({CONSUMER: consumer.pid, DATABASE: database, BROKER: broker})

    def _spawn(self, name: str, command: list[str]) -> Child:
        environment = os.environ | {
            "PLEDGEWATCH_ENV": "development",
            "PLEDGEWATCH_DATABASE_URL": self._server.dsn,
            "PLEDGEWATCH_MQTT_URL": self._broker.mqtt_url,
            "PLEDGEWATCH_TELEMETRY_CLOCK": "wall",
            "PLEDGEWATCH_INGEST_SLOTS": "1",
        }
        return spawn(name, command, log=self.folder / f"{name}.log", environment=environment)


def vehicle_of(device_id: str) -> str:
    """Return the vehicle a bench device is in."""
    return f"car-{device_id}"


def _run(cpu: dict[str, float], publisher_us: float, seconds: float, reports: int) -> Run:
    per_report = {name: spent * 1e6 / reports for name, spent in cpu.items()}
    return Run(per_report, publisher_us, seconds, reports)


def _await_line(child: Child, opening: str) -> str:
    """Return the line of a program's log that begins so.

    Raises:
        Unavailable: it ended, or said nothing like it in time.
    """
    deadline_s = monotonic() + CONSUMER_WAIT_S
    pause = Pause()
    while True:
        running = child.running
        for line in child.log.read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith(opening):
                return line
        if not running or monotonic() > deadline_s:
            raise Unavailable(
                f"Expected {opening.strip()!r} from {child.name}; its log ends:\n{child.log_tail()}",
                code="bench_incomplete",
            )
        pause()
