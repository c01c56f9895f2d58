"""The database and the broker of this deployment: configured, already running, or started now.

Every command opens a stack; nothing is joined or started before its URL is asked for.
"""

from __future__ import annotations

import contextlib
import sys
import threading
from collections.abc import Callable, Iterable
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self
from urllib.parse import unquote, urlsplit, urlunsplit

from cryptography.fernet import Fernet
from pydantic import SecretStr

from core.clock import monotonic
from core.errors import Conflict, Misconfigured
from core.mqtt_passwords import mosquitto_password_hash
from core.settings import Settings
from pledgewatch.embedded import ports
from pledgewatch.embedded.accounts import GATEWAY_USER, INGEST_USER, Account, write_password_file
from pledgewatch.embedded.broker import EmbeddedBroker, service_url, sync_credentials
from pledgewatch.embedded.lease import Lease
from pledgewatch.embedded.pause import Pause
from pledgewatch.embedded.postgres import EmbeddedPostgres, database_url_of
from pledgewatch.embedded.processes import is_alive, start_ticks
from pledgewatch.embedded.state import new_secret, prepare_data_dir, read_state, secret

OWN_TIMEOUT_S = 30.0  # a short command may be about to end
JOIN_TIMEOUT_S = 120.0  # the owner may be in its first initdb, or in crash recovery


class Server(Protocol):
    """What the stack needs to know of an embedded part."""

    @property
    def how(self) -> str: ...
    @property
    def running(self) -> bool: ...
    def start(self) -> str: ...
    def stop(self) -> None: ...


class Part:
    """A server with one owner per DATA_DIR; `url()` joins it or starts it."""

    def __init__(
        self, name: str, data_dir: Path, server: Server, joined_url: Callable[[], str | None]
    ) -> None:
        self.name = name
        self.server = server
        self._joined_url = joined_url
        self._data_dir = data_dir
        self._lease: Lease | None = None
        self._url: str | None = None
        self._lock = threading.Lock()

    @property
    def owned(self) -> bool:
        return self._lease is not None and self._lease.owned

    @property
    def how(self) -> str:
        if self._url is None:
            return "not in use"
        return self.server.how if self.owned else f"joined the one running on {self._data_dir}"

    def url(self) -> str:
        """Return the URL; the first call joins or starts the server."""
        with self._lock:
            if self._url is None:
                prepare_data_dir(self._data_dir)
                self._lease = self._lease or Lease(self._data_dir, self.name)
                self._url = self._obtain(self._lease)
            return self._url

    def own(self) -> None:
        """Become the owner, or refuse: for `up`, whose parts must not end with another command.

        Raises:
            Conflict: another process owns the part.
        """
        with self._lock:
            prepare_data_dir(self._data_dir)
            self._lease = self._lease or Lease(self._data_dir, self.name)
            deadline = monotonic() + OWN_TIMEOUT_S
            pause = Pause()
            while not self._lease.try_own():
                if monotonic() > deadline:
                    raise already_running(self._data_dir, self._lease.owner_pid())
                pause()

    def close(self, *, wait_for_users: bool) -> None:
        """Leave the part; the owner stops it once nobody uses it (at once unless asked to wait)."""
        with self._lock:
            if self._lease is None:
                return
            try:
                if self._lease.owned and self._url is not None:
                    if wait_for_users:
                        self._await_users(self._lease)
                    self.server.stop()
            finally:
                self._lease.release()
                self._lease, self._url = None, None

    def _obtain(self, lease: Lease) -> str:
        deadline = monotonic() + JOIN_TIMEOUT_S
        pause = Pause()
        while True:
            if lease.try_own():
                try:
                    return self.server.start()
                except BaseException:
                    lease.release()
                    raise
            if lease.try_join():
                url = self._joined_url()
                if url is not None:
                    return url
                lease.leave()
            if monotonic() > deadline:
                raise already_running(self._data_dir, lease.owner_pid())
            pause()

    def _await_users(self, lease: Lease) -> None:
        pause = Pause()
        told = False
        while not lease.unused():
            if not told:
                print(
                    f"Another command still uses the embedded {self.name}; waiting for it …", file=sys.stderr
                )
                told = True
            pause()


def already_running(data_dir: Path, pid: int | None) -> Conflict:
    """Return the polite refusal."""
    who = f"process {pid}" if pid else "another process"
    return Conflict(
        f"Expected nobody else to run Pledgewatch on {data_dir}, but {who} does. Stop it (Ctrl-C in its "
        "window), or set PLEDGEWATCH_DATA_DIR to another folder for a second deployment.",
        code="already_running",
        pid=pid,
    )


class StackHandle:
    """Where the database and the broker are; close it when done (or use `with`)."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.data_dir = settings.data_dir.absolute()
        self.postgres_server = EmbeddedPostgres(self.data_dir, settings.postgres_port)
        self.broker_server = EmbeddedBroker(self.data_dir, settings.mqtt_port)
        self.postgres = Part(
            "postgres", self.data_dir, self.postgres_server, lambda: running_database_url(self.data_dir)
        )
        self.broker = Part(
            "broker", self.data_dir, self.broker_server, lambda: running_mqtt_url(self.data_dir)
        )
        self._wait_for_users = True

    @property
    def database_url(self) -> str:
        """The configured database, the running embedded one, or one started now."""
        return self.settings.database_url or self.postgres.url()

    @property
    def mqtt_url(self) -> str:
        """The broker with the account of ingest: configured, running, or started now."""
        return self.settings.mqtt_url or self.broker.url()

    @property
    def live_mqtt_url(self) -> str | None:
        """The broker with the account of ingest, if one is configured or runs; starts none."""
        return self.settings.mqtt_url or running_mqtt_url(self.data_dir)

    @property
    def device_mqtt_url(self) -> str:
        """The broker without an account, for devices, which bring their own."""
        if self.settings.mqtt_device_url:
            return self.settings.mqtt_device_url
        url = self.mqtt_url
        if url == running_mqtt_url(self.data_dir):
            return f"mqtt://{ports.LOOPBACK}:{read_state(self.data_dir / 'broker.json')['port']}"
        parts = urlsplit(url)
        return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))

    @property
    def gateway_mqtt_url(self) -> str | None:
        """The broker with the account of gateways; None when the broker is not ours and none is set."""
        if self.settings.gateway_mqtt_url or self.settings.mqtt_url not in (
            None,
            running_mqtt_url(self.data_dir),
        ):
            return self.settings.gateway_mqtt_url
        port = urlsplit(self.mqtt_url).port
        return None if port is None else service_url(self.data_dir, GATEWAY_USER, port)

    @property
    def database_how(self) -> str:
        return "PLEDGEWATCH_DATABASE_URL" if self.settings.database_url else self.postgres.how

    @property
    def broker_how(self) -> str:
        return "PLEDGEWATCH_MQTT_URL" if self.settings.mqtt_url else self.broker.how

    @property
    def contacts_key(self) -> str:
        """The Fernet key of contact numbers: configured, or this DATA_DIR's own."""
        return self._secret_setting("contacts_key", lambda: Fernet.generate_key().decode("ascii"))

    @property
    def webhook_secret(self) -> str:
        """The key that signs webhooks: configured, or this DATA_DIR's own."""
        return self._secret_setting("webhook_secret", new_secret)

    def _secret_setting(self, name: str, make: Callable[[], str]) -> str:
        configured: SecretStr | None = getattr(self.settings, name)
        if configured is not None:
            return configured.get_secret_value()
        if self.settings.env == "production":
            raise Misconfigured(
                f"PLEDGEWATCH_{name.upper()}: expected a value when PLEDGEWATCH_ENV=production, was none",
                code="secret_missing",
            )
        prepare_data_dir(self.data_dir)
        return secret(self.data_dir, name, make)

    def publish_accounts(self, load_accounts: Callable[[], Iterable[Account]]) -> bool:
        """Give the broker the devices' `(username, hash)` pairs, read under its lock.

        With PLEDGEWATCH_MQTT_PASSWORD_FILE that file is written (its broker watches it); else the
        embedded broker's, which takes it at once when it runs. False when neither is ours to write.
        """
        if self.settings.mqtt_password_file is not None:
            own = [
                *_service_account(self.settings.mqtt_url),
                *_service_account(self.settings.gateway_mqtt_url),
            ]
            write_password_file(self.settings.mqtt_password_file, [*own, *load_accounts()])
            return True
        # A process of our own `up` has the embedded broker's URL in its environment.
        if self.settings.mqtt_url and self.settings.mqtt_url != running_mqtt_url(self.data_dir):
            return False
        prepare_data_dir(self.data_dir)
        sync_credentials(self.data_dir, load_accounts)
        return True

    def close(self) -> None:
        """Stop what we started, after its other users have left."""
        with contextlib.ExitStack() as stack:
            stack.callback(self.postgres.close, wait_for_users=self._wait_for_users)
            stack.callback(self.broker.close, wait_for_users=self._wait_for_users)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # Whoever is interrupted leaves at once; those who joined see their database go.
        self._wait_for_users = not isinstance(error, (KeyboardInterrupt, SystemExit))
        self.close()


def open_stack(settings: Settings) -> StackHandle:
    """Open the stack of these settings; nothing is started before its URL is asked for."""
    return StackHandle(settings)


def running_database_url(data_dir: Path) -> str | None:
    """Return the URL of the embedded PostgreSQL that runs on a DATA_DIR, if one does."""
    state = read_state(data_dir / "postgres.json")
    return database_url_of(data_dir, int(state["port"])) if is_running(state) else None


def running_mqtt_url(data_dir: Path) -> str | None:
    """Return the URL, with ingest's account, of the embedded broker on a DATA_DIR, if one runs."""
    state = read_state(data_dir / "broker.json")
    if not is_running(state):
        return None
    return service_url(data_dir, INGEST_USER, int(state.get("inner_port", state["port"])))


def is_running(state: dict[str, object]) -> bool:
    """Tell whether a state file's process lives; its pid alone may be a stranger's by now."""
    pid = state.get("pid")
    return isinstance(pid, int) and is_alive(pid) and start_ticks(pid) == state.get("start_ticks")


def _service_account(mqtt_url: str | None) -> list[Account]:
    parts = urlsplit(mqtt_url or "")
    if not parts.username or parts.password is None:
        return []
    return [(unquote(parts.username), mosquitto_password_hash(unquote(parts.password)))]
