"""Fixtures around the JT/T 808 gateway.

gateway_rig  function  enrolled terminals, a listener on the broker, the gateway in a thread or as a process
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import pytest

from collateral import provisioning
from core.db.pool import connect
from core.errors import Unavailable
from core.mqtt_passwords import mosquitto_password_hash
from core.topics import build, default_shard
from ingest.gateways.jt808 import store
from ingest.gateways.jt808.gateway import serve
from ingest.gateways.jt808.limits import Limits
from simulator.terminals.jt808 import Terminal
from tests.fix_stack import BrokerUnderTest, TemplateDatabase, eventually, migrated_database
from tests.mqtt_talk import Talker

ROOT = Path(__file__).resolve().parents[1]


@dataclass
class GatewayInThread:
    """`serve` on an event loop of its own, so that a test may choose the limits."""

    port: int
    loop: asyncio.AbstractEventLoop
    stopped: asyncio.Event
    thread: threading.Thread
    failures: list[BaseException]

    def stop(self) -> None:
        self.loop.call_soon_threadsafe(self.stopped.set)
        self.thread.join(timeout=30)
        assert not self.thread.is_alive()


@dataclass
class GatewayRig:
    """Everything around one gateway."""

    database_url: str
    broker: BrokerUnderTest
    folder: Path
    gateways: list[GatewayInThread] = field(default_factory=list)
    processes: list[subprocess.Popen[bytes]] = field(default_factory=list)
    terminals: list[Terminal] = field(default_factory=list)
    talkers: list[Talker] = field(default_factory=list)
    port: int = 0

    def enrol(
        self, number: str, device_id: str, *, dialect: str | None = None, code: str | None = None
    ) -> None:
        """Register a device in a vehicle of its own, and let a terminal speak for it."""
        with connect(self.database_url, name="test") as conn:
            provisioning.add_device(conn, device_id, f"car-{device_id}")
            code_hash = None if code is None else mosquitto_password_hash(code)
            store.enrol(conn, number, device_id, dialect=dialect, code_hash=code_hash)

    def ask(self, query: str, *values: Any) -> list[tuple[Any, ...]]:
        with connect(self.database_url, name="test", autocommit=True) as conn:
            return conn.execute(query, values).fetchall()

    def run(self, limits: Limits | None = None) -> GatewayInThread:
        """Start a gateway in a thread and wait until it listens."""
        ports: list[int] = []
        started = threading.Event()
        failures: list[BaseException] = []
        handles: list[tuple[asyncio.AbstractEventLoop, asyncio.Event]] = []

        async def work() -> None:
            stop = asyncio.Event()
            handles.append((asyncio.get_running_loop(), stop))

            def ready(port: int) -> None:
                ports.append(port)
                started.set()

            url = self.broker.embedded.gateway_url
            await serve(self.database_url, url, "127.0.0.1", 0, limits or Limits(), stop=stop, ready=ready)

        def main() -> None:
            try:
                asyncio.run(work())
            except BaseException as exc:
                failures.append(exc)
                started.set()

        thread = threading.Thread(target=main, name="gateway", daemon=True)
        thread.start()
        assert started.wait(30)
        assert failures == []
        self.port = ports[0]
        gateway = GatewayInThread(self.port, *handles[0], thread, failures)
        self.gateways.append(gateway)
        return gateway

    def start(self) -> subprocess.Popen[bytes]:
        """Start the gateway as a process, on the port of the one before."""
        if not self.port:
            with socket.socket() as free:
                free.bind(("127.0.0.1", 0))
                self.port = free.getsockname()[1]
        environment = os.environ | {
            "PLEDGEWATCH_DATABASE_URL": self.database_url,
            "PLEDGEWATCH_GATEWAY_MQTT_URL": self.broker.embedded.gateway_url,
            "PLEDGEWATCH_JT808_PORT": str(self.port),
        }
        log = self.folder / f"jt808-{len(self.processes)}.log"
        with log.open("wb") as out:
            process = subprocess.Popen(
                [sys.executable, "-m", "ingest.gateways.jt808"],
                cwd=ROOT,
                env=environment,
                stdout=out,
                stderr=out,
            )
        self.processes.append(process)
        eventually(
            lambda: b"jt808: listening" in log.read_bytes() or process.poll() is not None,
            within_s=60,
            what="the gateway's port",
        )
        assert process.poll() is None, log.read_text(encoding="utf-8")
        return process

    def terminal(self, number: str, **options: Any) -> Terminal:
        """Return a terminal that knows where the gateway is."""
        terminal = Terminal("127.0.0.1", self.port, number, **options)
        self.terminals.append(terminal)
        return terminal

    def listener(self, *kinds: str) -> Talker:
        """Listen to kinds of topics as ingest would; without one a report meets nobody (PUBACK 0x10)."""
        parts = urlsplit(self.broker.ingest_url)
        assert parts.hostname is not None
        assert parts.port is not None
        talker = Talker(
            parts.hostname,
            parts.port,
            f"listener-{uuid.uuid4().hex[:8]}",
            "ingest",
            unquote(parts.password or ""),
        ).connected()
        for kind in kinds or ("telemetry",):
            talker.subscribe(f"pw/v1/+/+/{kind}")
        self.talkers.append(talker)
        return talker

    def command(self, talker: Talker, device_id: str, kind: str, *, id: str, **fields: Any) -> None:
        """Publish a command as the queue does."""
        body = {"v": 1, "id": id, "kind": kind, "params": {}} | fields
        talker.publish(build(default_shard(device_id), device_id, "cmd"), json.dumps(body).encode())

    def close(self) -> None:
        for terminal in self.terminals:
            terminal.hang_up()
        for gateway in self.gateways:
            gateway.stop()
            assert gateway.failures == []
        for process in self.processes:
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(timeout=20)
            if process.poll() is None:
                process.kill()
                process.wait(timeout=20)
        for talker in self.talkers:
            talker.close()


def reports_of(talker: Talker, device_id: str) -> list[dict[str, Any]]:
    """Return the reports that a listener heard of a device, in order."""
    found: list[dict[str, Any]] = []
    for topic, payload in list(talker.heard):
        if topic == build(default_shard(device_id), device_id, "telemetry"):
            decoded = json.loads(payload)
            found += decoded if isinstance(decoded, list) else [decoded]
    return found


def await_reports(talker: Talker, device_id: str, count: int) -> list[dict[str, Any]]:
    """Wait until a listener heard so many reports: the broker answers the publisher first."""

    def there() -> list[dict[str, Any]] | None:
        found = reports_of(talker, device_id)
        return found if len(found) >= count else None

    found = eventually(there, what=f"{count} reports of {device_id}")
    assert len(found) == count
    return found


def heard_of(talker: Talker, device_id: str, kind: str) -> list[dict[str, Any]]:
    """Return the JSON of another kind of topic, in order."""
    topic = build(default_shard(device_id), device_id, kind)
    return [json.loads(payload) for heard, payload in list(talker.heard) if heard == topic and payload]


def sent_away(terminal: Terminal, within_s: float = 10.0) -> bool:
    """Tell whether the platform ends the connection in time."""

    def gone() -> bool:
        try:
            terminal.hear(0.2)
        except (OSError, Unavailable):
            return True
        return False

    return eventually(gone, within_s=within_s, what="the end of the connection")


@pytest.fixture(scope="module")
def gateway_database(postgres_server: str, template_db: TemplateDatabase) -> Iterator[str]:
    """One database for the tests of a file; their numbers and devices are their own."""
    with migrated_database(postgres_server, template_db, "gateway") as url:
        yield url


@pytest.fixture
def gateway_rig(gateway_database: str, broker: BrokerUnderTest, tmp_path: Path) -> Iterator[GatewayRig]:
    rig = GatewayRig(gateway_database, broker, tmp_path)
    yield rig
    rig.close()
