"""The embedded MQTT broker: Mosquitto where there is one, else aedes under Node."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Callable, Iterable
from pathlib import Path
from types import TracebackType
from typing import Literal, Self
from urllib.parse import quote

from core.clock import monotonic
from core.errors import Misconfigured, Rejected, Unavailable
from core.mqtt_passwords import mosquitto_password_hash, verify_mosquitto_password
from pledgewatch.embedded import mosquitto, node, ports
from pledgewatch.embedded.accounts import (
    GATEWAY_USER,
    INGEST_USER,
    SERVICE_USERS,
    Account,
    credentials_lock,
    read_password_file,
    write_password_file,
)
from pledgewatch.embedded.identity import Identity
from pledgewatch.embedded.pause import Pause
from pledgewatch.embedded.probe import ACCEPTED, mqtt_connect_code
from pledgewatch.embedded.processes import Child, log_tail, spawn, start_ticks
from pledgewatch.embedded.state import prepare_data_dir, read_state, secret, write_private, write_state

PORT_VARIABLE = "PLEDGEWATCH_MQTT_PORT"
READY_TIMEOUT_S = 30.0
RELOAD_TIMEOUT_S = 10.0
STOP_TIMEOUT_S = 15.0
START_ATTEMPTS = 4
# Both brokers print it when they begin to read the password file again.
RELOAD_MARK = b"Reloading config"

BrokerKind = Literal["mosquitto", "aedes"]


class EmbeddedBroker:
    """A loopback broker whose sessions, accounts, log and ports live under one DATA_DIR.

    Devices have a port of their own, where the broker makes the user name the client id: whoever may
    choose a client id takes over the session that has it, a slot of ingest's or another device's.
    """

    def __init__(self, data_dir: Path, port: int | None = None, *, kind: BrokerKind | None = None) -> None:
        self._wanted_port = port or 0
        self._data_dir = data_dir
        self._wanted_kind = kind
        self._child: Child | None = None
        self._port = 0
        self._inner_port = 0
        self._how = "not started"
        self._kind: BrokerKind | None = kind

    @property
    def port(self) -> int:
        """Return the port for devices."""
        return self._port

    @property
    def inner_port(self) -> int:
        """Return the port for our own processes, which choose their client ids; aedes needs only one."""
        return self._inner_port

    @property
    def host_url(self) -> str:
        """Return the broker's URL without an account, for devices."""
        return f"mqtt://{ports.LOOPBACK}:{self._port}"

    @property
    def mqtt_url(self) -> str:
        """Return the broker's URL with the account of ingest."""
        return service_url(self._data_dir, INGEST_USER, self._inner_port)

    @property
    def gateway_url(self) -> str:
        """Return the broker's URL with the account of the gateways."""
        return service_url(self._data_dir, GATEWAY_USER, self._inner_port)

    @property
    def kind(self) -> BrokerKind | None:
        """Return which broker runs; None before the first start."""
        return self._kind

    @property
    def how(self) -> str:
        return self._how

    @property
    def log(self) -> Path:
        return self._data_dir / "logs" / "broker.log"

    @property
    def running(self) -> bool:
        return self._child is not None and self._child.running

    @property
    def pid(self) -> int | None:
        return self._child.pid if self._child is not None else None

    @property
    def folder(self) -> Path:
        return self._data_dir / "broker"

    def start(self) -> str:
        """Start the broker and return its URL with the account of ingest.

        Raises:
            PortBusy: the asked-for port is taken.
            Misconfigured: no broker program can be had.
            Unavailable: it did not start; quotes its log.
        """
        if self.running:
            return self.mqtt_url
        self._data_dir = prepare_data_dir(self._data_dir)
        self.folder.mkdir(exist_ok=True, mode=0o700)
        kind = self._wanted_kind or ("mosquitto" if mosquitto.find_mosquitto() else "aedes")
        if kind == "mosquitto":
            identity = mosquitto.choose_broker_identity(self.folder)
        else:
            identity = Identity("direct")
        self._kind = kind
        known = read_password_file(self.folder / "passwords")
        self._write_accounts([account for account in known if account[0] not in SERVICE_USERS], identity)
        state = read_state(self._data_dir / "broker.json")
        remembered, inner = int(state.get("port", 0)), self._inner_port or int(state.get("inner_port", 0))
        for _ in range(START_ATTEMPTS):
            self._port = ports.choose("MQTT broker", self._wanted_port, remembered, PORT_VARIABLE)
            self._inner_port = self._port if kind == "aedes" else _another(inner, self._port)
            self._child = self._launch(kind, identity)
            if self._became_ready(self._child):
                self._remember(self._child, identity)
                # A restart after a crash must come back where the others look for it.
                self._wanted_port = self._port
                return self.mqtt_url
            if ports.is_free(self._port) and ports.is_free(self._inner_port):
                raise Unavailable(
                    f"The MQTT broker did not start; the end of {self.log}:\n{log_tail(self.log)}",
                    code="broker_start_failed",
                )
            remembered = inner = 0  # lost the race for a free port; take another
        raise Unavailable(
            f"The MQTT broker found no free port in {START_ATTEMPTS} attempts; see {self.log}",
            code="broker_start_failed",
        )

    def stop(self) -> None:
        """Stop the broker, which saves its sessions first; safe to call twice."""
        if self._child is not None:
            self._child.stop(STOP_TIMEOUT_S)
            self._child = None

    def reload_credentials(self, accounts: Iterable[Account]) -> None:
        """Make exactly these `(username, hash)` accounts, and ingest's own, valid at once."""
        fixed = list(accounts)
        sync_credentials(self._data_dir, lambda: fixed)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _write_accounts(self, accounts: list[Account], identity: Identity) -> None:
        with credentials_lock(self.folder):
            write_password_file(
                self.folder / "passwords", _with_services(self._data_dir, accounts), identity.owner()
            )

    def _remember(self, child: Child, identity: Identity) -> None:
        write_state(
            self._data_dir / "broker.json",
            port=self._port,
            inner_port=self._inner_port,
            pid=child.pid,
            start_ticks=start_ticks(child.pid),
            log=str(self.log),
            owner=identity.owner(),
        )

    def _launch(self, kind: BrokerKind, identity: Identity) -> Child:
        if kind == "mosquitto":
            command, how = self._mosquitto(identity)
        else:
            command, how = self._aedes()
        self._how = f"{how}, {identity.describe()}"
        return spawn(
            "broker",
            command,
            log=self.log,
            identity=identity,
            cwd=self.folder,
            stop_signal=signal.SIGTERM,
        )

    def _mosquitto(self, identity: Identity) -> tuple[list[str], str]:
        program = mosquitto.find_mosquitto()
        if program is None:
            raise _no_broker("mosquitto is not on the PATH")
        conf = mosquitto.render(self.folder, self._port, self._inner_port, identity)
        version = mosquitto.mosquitto_version(program)
        return [str(program), "-c", str(conf)], f"Mosquitto {version}, on the PATH"

    def _aedes(self) -> tuple[list[str], str]:
        found, version = node.find_node(), node.aedes_version()
        if found is None:
            raise _no_broker(f"neither mosquitto nor Node {node.OLDEST_MAJOR} or later was found")
        if version is None:
            raise _no_broker("mosquitto is not on the PATH and aedes is not in node_modules")
        write_private(self.folder / "acl", (mosquitto.DEPLOY / "acl").read_text(encoding="utf-8"))
        how = f"aedes {version} (memory only) under Node {found.version}, {found.origin}"
        return node.aedes_command(found, self._port, self.folder), how

    def _became_ready(self, child: Child) -> bool:
        deadline = monotonic() + READY_TIMEOUT_S
        pause = Pause()
        password = secret(self._data_dir, "mqtt_ingest_password")
        while child.running and monotonic() < deadline:
            if mqtt_connect_code(ports.LOOPBACK, self._inner_port, INGEST_USER, password) == ACCEPTED:
                return child.running
            pause()
        child.stop()
        return False


def _no_broker(why: str) -> Misconfigured:
    return Misconfigured(
        f"MQTT broker: {why}. Run `make setup` (it installs aedes), install mosquitto, or set "
        "PLEDGEWATCH_MQTT_URL.",
        code="broker_not_found",
    )


def sync_credentials(data_dir: Path, load_accounts: Callable[[], Iterable[Account]]) -> bool:
    """Rewrite the password file of the broker on a DATA_DIR and have it read again.

    Works from any process of the same user. `load_accounts` runs under the file's lock, so that two
    commands at once cannot end with the older list. Returns whether a broker runs and has taken it.

    Raises:
        Unavailable: the broker runs but did not read the file in time.
    """
    folder = data_dir.resolve() / "broker"
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    with credentials_lock(folder):
        state = read_state(data_dir / "broker.json")
        owner = state.get("owner")
        write_password_file(
            folder / "passwords",
            _with_services(data_dir.resolve(), list(load_accounts())),
            (int(owner[0]), int(owner[1])) if owner else None,
        )
        return _signal_reload(state)


def _signal_reload(state: dict[str, object]) -> bool:
    pid = state.get("pid")
    if not isinstance(pid, int) or start_ticks(pid) is None or start_ticks(pid) != state.get("start_ticks"):
        return False
    log = Path(str(state["log"]))
    seen = log.stat().st_size
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGHUP)
    deadline = monotonic() + RELOAD_TIMEOUT_S
    pause = Pause()
    while monotonic() < deadline:
        with log.open("rb") as handle:
            handle.seek(seen)
            # The broker has one thread: whatever connects after this line meets the new file.
            if RELOAD_MARK in handle.read():
                return True
        if start_ticks(pid) != state.get("start_ticks"):
            return False
        pause()
    raise Unavailable(
        f"The MQTT broker (process {pid}) did not read its password file within {RELOAD_TIMEOUT_S:.0f} s; "
        f"see {log}",
        code="broker_reload_failed",
    )


def service_url(data_dir: Path, username: str, port: int) -> str:
    """Return the URL of a loopback port with the account of one of our own processes."""
    password = quote(secret(data_dir, _secret_name(username)), safe="")
    return f"mqtt://{username}:{password}@{ports.LOOPBACK}:{port}"


def _with_services(data_dir: Path, accounts: list[Account]) -> list[Account]:
    """Put our own accounts first; a device cannot take their names."""
    taken = sorted({username for username, _ in accounts} & set(SERVICE_USERS))
    if taken:
        raise Rejected(
            f"Broker user {taken[0]}: expected another name, this one is reserved",
            code="reserved_broker_user",
        )
    kept = dict(read_password_file(data_dir / "broker" / "passwords"))
    own = []
    for username in SERVICE_USERS:
        password = secret(data_dir, _secret_name(username))
        known = kept.get(username, "")
        good = verify_mosquitto_password(password, known)
        own.append((username, known if good else mosquitto_password_hash(password)))
    return [*own, *accounts]


def _secret_name(username: str) -> str:
    return f"mqtt_{username}_password"


def _another(remembered: int, port: int) -> int:
    """Return a free port that is not ``port``."""
    while True:
        chosen = ports.choose("MQTT broker, inner port", 0, 0 if remembered == port else remembered, "")
        if chosen != port:
            return chosen
