"""The embedded PostgreSQL server: ours from initdb to the last checkpoint."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Self
from urllib.parse import quote

import psycopg

from core.clock import monotonic
from core.errors import Conflict, Misconfigured, Unavailable
from pledgewatch.embedded import pgcluster, ports, store
from pledgewatch.embedded.identity import Identity, choose_identity
from pledgewatch.embedded.pause import Pause
from pledgewatch.embedded.pgbinaries import PostgresBinaries, find_postgres
from pledgewatch.embedded.processes import Child, log_tail, spawn, start_ticks
from pledgewatch.embedded.state import prepare_data_dir, read_state, secret, write_state

DATABASE = "pledgewatch"
PORT_VARIABLE = "PLEDGEWATCH_POSTGRES_PORT"
READY_TIMEOUT_S = 120.0  # crash recovery of a few gigabytes of WAL on a slow disk
STOP_TIMEOUT_S = 30.0
START_ATTEMPTS = 4
LOCK_FILE_LINES_LISTENING = 6


class EmbeddedPostgres:
    """A PostgreSQL server whose data, log, port and password live under one DATA_DIR.

    `identity` and `extra_settings` are for tests; the default identity suits the current user.
    """

    def __init__(
        self,
        data_dir: Path,
        port: int | None = None,
        *,
        identity: Identity | None = None,
        extra_settings: Mapping[str, str] | None = None,
    ) -> None:
        self._wanted_port = port or 0
        self._requested_dir = data_dir
        self._identity = identity
        self._extra = dict(extra_settings or {})
        self._child: Child | None = None
        self._binaries: PostgresBinaries | None = None
        self._dsn = ""

    @property
    def dsn(self) -> str:
        """Return the URL of the running server's database."""
        if not self._dsn:
            raise Unavailable("PostgreSQL: expected a started server, start() was not called")
        return self._dsn

    @property
    def pg_version(self) -> str:
        """Return the version of the binaries in use, such as `18.4`."""
        if self._binaries is None:
            raise Unavailable("PostgreSQL: expected a started server, start() was not called")
        return self._binaries.version

    @property
    def how(self) -> str:
        """Say how the server was found and as whom it runs."""
        if self._binaries is None or self._identity is None:
            return "not started"
        return f"PostgreSQL {self.pg_version}, {self._binaries.origin}, {self._identity.describe()}"

    @property
    def log(self) -> Path:
        return self._requested_dir / "logs" / "postgres.log"

    @property
    def running(self) -> bool:
        """Tell whether our server process is alive; false after a crash."""
        return self._child is not None and self._child.running

    @property
    def pid(self) -> int | None:
        """Return the pid of the postmaster."""
        return self._child.pid if self._child is not None else None

    def start(self) -> str:
        """Start the server (initdb at first) and return its database URL.

        Raises:
            PortBusy: the asked-for port is taken.
            Misconfigured, Conflict, Unavailable: with what to do about it.
        """
        if self.running:
            return self.dsn
        data_dir = prepare_data_dir(self._requested_dir)
        self._requested_dir = data_dir
        if self._identity is None:
            self._identity = choose_identity()
        home = pgcluster.choose_home(data_dir, self._identity)
        pgcluster.await_no_server(home)
        binaries = pgcluster.reachable(find_postgres(home.major), home)
        self._binaries = binaries
        if home.exists and not (data_dir / "secrets" / "postgres_password").exists():
            raise Misconfigured(
                f"PostgreSQL: expected the password of the existing data in {data_dir}/secrets/"
                "postgres_password, the file is gone. Restore it, or move the data away to begin anew.",
                code="postgres_password_missing",
            )
        password = secret(data_dir, "postgres_password")
        if not home.exists:
            pgcluster.initialise(home, binaries, password)
        self._child, port = self._launch(data_dir, home, binaries)
        self._dsn = _url(password, port, DATABASE)
        self._await_ready(self._child, _url(password, port, "postgres"))
        # A restart after a crash must come back where the others look for it.
        self._wanted_port = port
        write_state(
            data_dir / "postgres.json",
            port=port,
            pid=self._child.pid,
            start_ticks=start_ticks(self._child.pid),
            home=str(home.root),
            version=self.pg_version,
        )
        return self._dsn

    def stop(self) -> None:
        """Stop with a checkpoint; safe to call twice."""
        if self._child is not None:
            self._child.stop(STOP_TIMEOUT_S)
            self._child = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _launch(self, data_dir: Path, home: pgcluster.Home, binaries: PostgresBinaries) -> tuple[Child, int]:
        remembered = int(read_state(data_dir / "postgres.json").get("port", 0))
        for _ in range(START_ATTEMPTS):
            port = ports.choose("PostgreSQL", self._wanted_port, remembered, PORT_VARIABLE)
            pgcluster.configure(home, port, self._extra)
            log_from = self.log.stat().st_size if self.log.exists() else 0
            child = spawn(
                "postgres",
                [str(binaries.bin_dir / "postgres"), "-D", str(home.data)],
                log=self.log,
                identity=home.identity,
                cwd=home.data,
                # SIGINT is PostgreSQL's fast shutdown: sessions end, a checkpoint is written.
                stop_signal=signal.SIGINT,
            )
            fault = _early_death(child, home, log_from)
            if fault is None:
                return child, port
            if "could not bind" in fault or "could not create any TCP/IP sockets" in fault:
                if self._wanted_port:
                    raise ports.PortBusy("PostgreSQL", port, PORT_VARIABLE)
                remembered = 0  # lost the race for a free port; take another
            elif "pre-existing shared memory block" in fault:
                # kill -9 of the postmaster: its children are still noticing.
                pgcluster.await_no_server(home)
            else:
                break
        raise Unavailable(
            f"PostgreSQL did not start; the end of {self.log}:\n{log_tail(self.log)}",
            code="postgres_start_failed",
        )

    def _await_ready(self, child: Child, maintenance_url: str) -> None:
        deadline = monotonic() + READY_TIMEOUT_S
        pause = Pause()
        while True:
            try:
                with psycopg.connect(maintenance_url, connect_timeout=5, autocommit=True) as connection:
                    if not store.database_exists(connection, DATABASE):
                        store.create_database(connection, DATABASE)
                    return
            except psycopg.OperationalError as exc:
                if "password authentication failed" in str(exc):
                    self.stop()
                    raise Conflict(
                        f"PostgreSQL: the password in {self._requested_dir}/secrets/postgres_password is not "
                        "the one of the existing data. Restore the file, or move the data away.",
                        code="postgres_password_wrong",
                    ) from exc
                if not child.running or monotonic() > deadline:
                    tail = log_tail(self.log)
                    self.stop()
                    raise Unavailable(
                        f"PostgreSQL did not become ready ({exc}); the end of {self.log}:\n{tail}",
                        code="postgres_start_failed",
                    ) from exc
            pause()


def _url(password: str, port: int, database: str) -> str:
    return f"postgresql://{pgcluster.ROLE}:{quote(password, safe='')}@{ports.LOOPBACK}:{port}/{database}"


def database_url_of(data_dir: Path, port: int) -> str:
    """Return the URL of the embedded server on a DATA_DIR whose port is known."""
    return _url(secret(data_dir, "postgres_password"), port, DATABASE)


def _early_death(child: Child, home: pgcluster.Home, log_from: int) -> str | None:
    """Return what the server said if it died before it listened, None once it listens."""
    pause = Pause()
    deadline = monotonic() + READY_TIMEOUT_S
    lock = home.data / "postmaster.pid"
    while child.running and monotonic() < deadline:
        # The lock file names the port (line 4) from the start, the address (line 6) once it listens.
        with contextlib.suppress(FileNotFoundError):
            if len(lock.read_text(encoding="utf-8").splitlines()) >= LOCK_FILE_LINES_LISTENING:
                return None
        pause()
    if child.running:
        return None
    with child.log.open("rb") as handle:
        handle.seek(log_from)
        return handle.read().decode("utf-8", "replace")
