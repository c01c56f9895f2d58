"""A whole deployment for end-to-end tests: `pledgewatch up` on a folder of its own, and its command line."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import pytest

from core.db.pool import Connection, connect
from pledgewatch.embedded.stack import running_database_url, running_mqtt_url
from tests.fix_stack import created_database, eventually, in_database

START_WITHIN_S = 90.0
COMMAND = [sys.executable, "-m", "pledgewatch"]
DATABASE_URL = "PLEDGEWATCH_DATABASE_URL"


@dataclass
class Deployment:
    """A running `pledgewatch up`; ``up`` is its process."""

    data_dir: Path
    environment: dict[str, str]
    up: subprocess.Popen[bytes]

    @property
    def database_url(self) -> str:
        """Return the address of its database (the port may change when the server is replaced)."""
        if self.on_given_server:
            return self.environment[DATABASE_URL]
        url = eventually(lambda: running_database_url(self.data_dir), within_s=60, what="a database")
        assert url is not None
        return url

    @property
    def on_given_server(self) -> bool:
        """Whether its database lies on a server that is not its own (PLEDGEWATCH_TEST_DATABASE_URL)."""
        return DATABASE_URL in self.environment

    @property
    def mqtt_url(self) -> str:
        """Return the broker's address with the account of ingest."""
        url = running_mqtt_url(self.data_dir)
        assert url is not None
        return url

    def query(self, sql: str, *values: object) -> list[tuple[Any, ...]]:
        """Run one statement on the deployment's database."""
        with connect(self.database_url, name="test-e2e", autocommit=True) as conn:
            return conn.execute(sql.encode(), values).fetchall()

    def connect(self) -> Connection:
        """Open a connection to the deployment's database."""
        return connect(self.database_url, name="test-e2e", autocommit=True)

    def run(self, *arguments: str, timeout_s: float = 300, ok: tuple[int, ...] = (0,)) -> str:
        """Run a command of Pledgewatch against it and return its stdout."""
        done = subprocess.run(
            [*COMMAND, *arguments],
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=timeout_s,
            check=False,
        )
        assert done.returncode in ok, (
            f"{arguments}: exit {done.returncode}\n{done.stdout}\n{done.stderr[-4000:]}"
        )
        return done.stdout

    def run_json(self, *arguments: str, timeout_s: float = 300, ok: tuple[int, ...] = (0,)) -> dict[str, Any]:
        """Run a command with --json and return the object of its last line."""
        lines = self.run(*arguments, "--json", timeout_s=timeout_s, ok=ok).strip().splitlines()
        answer = json.loads(lines[-1])
        assert isinstance(answer, dict)
        return answer

    def begin(self, *arguments: str) -> subprocess.Popen[bytes]:
        """Start a command of Pledgewatch beside the test."""
        with (self.data_dir / "logs" / f"test-{arguments[0]}.log").open("wb") as log:
            return subprocess.Popen([*COMMAND, *arguments], env=self.environment, stdout=log, stderr=log)

    def end_every_connection(self) -> None:
        """Cut whoever is connected, as a crash of the server does; for a server that others use too."""
        with self.connect() as conn:
            conn.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )

    def kill(self, *words: str) -> int:
        """Send SIGKILL to the first descendant of `up` whose command line has these words; return its pid."""
        victim = eventually(lambda: self._find(*words), within_s=30, what=f"process {words}")
        victim.send_signal(signal.SIGKILL)
        return victim.pid

    def _find(self, *words: str) -> psutil.Process | None:
        for process in psutil.Process(self.up.pid).children(recursive=True):
            try:
                line = process.cmdline()
            except psutil.NoSuchProcess:
                continue
            if all(any(word in part for part in line) for word in words):
                return process
        return None

    def log(self, name: str) -> str:
        """Return a process's log."""
        path = self.data_dir / "logs" / f"{name}.log"
        return path.read_text(encoding="utf-8", errors="replace") if path.exists() else ""

    def rules_at_rest(self) -> bool:
        """Whether nothing waits to be replayed or swept, and the alerts room has read every finding."""
        [(waiting,)] = self.query(
            "SELECT (SELECT count(*) FROM replay_request) + (SELECT count(*) FROM deadline"
            " WHERE due_at <= (SELECT min(received_until) FROM time_watermark))"
        )
        [(unread,)] = self.query(
            "SELECT count(*) FROM finding f WHERE NOT EXISTS (SELECT FROM log_cursor c WHERE c.consumer = 'alerts'"
            " AND (f.txid, f.seq) <= (c.txid, c.seq))"
        )
        return bool(waiting == 0 and unread == 0)


@contextmanager
def deployed(data_dir: Path, **settings: str) -> Iterator[Deployment]:
    """Run `pledgewatch up` until the block ends; settings are variables without their prefix.

    Its database is its own embedded one, or a fresh one on PLEDGEWATCH_TEST_DATABASE_URL.
    """
    server = os.environ.get("PLEDGEWATCH_TEST_DATABASE_URL")
    if server is None or "DATABASE_URL" in settings:
        with _running(data_dir, settings) as deployment:
            yield deployment
        return
    with (
        created_database(server, "e2e") as name,
        _running(data_dir, {**settings, "DATABASE_URL": in_database(server, name)}) as deployment,
    ):
        yield deployment


@contextmanager
def _running(data_dir: Path, settings: Mapping[str, str]) -> Iterator[Deployment]:
    data_dir.mkdir(parents=True, exist_ok=True)
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("PLEDGEWATCH_")},
        "PLEDGEWATCH_DATA_DIR": str(data_dir),
        "PLEDGEWATCH_HTTP_PORT": "0",
        **{f"PLEDGEWATCH_{name}": value for name, value in settings.items()},
    }
    output = (data_dir / "up.log").open("wb")
    up = subprocess.Popen([*COMMAND, "up"], env=environment, stdout=output, stderr=output, cwd=data_dir)
    deployment = Deployment(data_dir, environment, up)

    def answers() -> bool:
        if up.poll() is not None:
            pytest.fail(f"`pledgewatch up` ended: {(data_dir / 'up.log').read_text()[-3000:]}")
        return b"page is at" in (data_dir / "up.log").read_bytes()

    try:
        eventually(answers, within_s=START_WITHIN_S, what="`pledgewatch up`")
        yield deployment
    finally:
        up.send_signal(signal.SIGINT)
        try:
            up.wait(60)
        except subprocess.TimeoutExpired:
            up.kill()
            up.wait()
        output.close()
