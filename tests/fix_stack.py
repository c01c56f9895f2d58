"""Fixtures for what runs outside the process: a PostgreSQL server, migrated databases, an MQTT broker.

postgres_server  session   URL of a server on which databases may be created (PLEDGEWATCH_TEST_DATABASE_URL,
                           else an embedded one)
template_db      session   what a fresh database is made from: migrated once
database_url     function  a fresh, migrated database of this test's own, dropped afterwards
empty_database_url  function  the same without migrations
db               function  a connection to database_url
broker           session   a broker shared by the tests of this process; give devices names of their own
fresh_broker     function  a broker that this test may kill
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import tempfile
import uuid
from collections.abc import Callable, Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit, urlunsplit

import psycopg
import pytest

from core.clock import monotonic
from core.db.migrate import migrate
from core.db.pool import Connection, connect
from core.mqtt_passwords import mosquitto_password_hash, new_mqtt_password
from pledgewatch.embedded import store
from pledgewatch.embedded.broker import EmbeddedBroker
from pledgewatch.embedded.mosquitto import find_mosquitto
from pledgewatch.embedded.pause import Pause
from pledgewatch.embedded.postgres import EmbeddedPostgres

Answer = TypeVar("Answer")

DATABASE_FIXTURES = {"postgres_server", "template_db", "database_url", "empty_database_url", "db"}
BROKER_FIXTURES = {"broker", "fresh_broker", "fault_stack"}

# The machine's own crash is not what these tests are about, and flushing would double their time.
# Benches and fault tests that need it start a server of their own.
TEST_SERVER_SETTINGS = {
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "shared_buffers": "64MB",
    "max_wal_size": "1GB",
    "max_connections": "150",
}

LEAST_MEMORY_BYTES = 2 * 2**30


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        names = set(getattr(item, "fixturenames", ()))
        if names & DATABASE_FIXTURES:
            item.add_marker("db")
        if names & BROKER_FIXTURES:
            item.add_marker("broker")
    # The longest first: begun last, one would keep a worker busy while the others have nothing left.
    items.sort(key=lambda item: item.get_closest_marker("slow") is None)


def missing(part: str, reason: str) -> None:
    """Skip, or fail where PLEDGEWATCH_REQUIRE says that the part must be here."""
    required = {name.strip() for name in os.environ.get("PLEDGEWATCH_REQUIRE", "").split(",")}
    if part in required:
        pytest.fail(f"PLEDGEWATCH_REQUIRE={part}, but {reason}")
    pytest.skip(reason)


def in_a_loop_of_its_own(work: Coroutine[Any, Any, Answer]) -> Answer:
    """Run a coroutine in a thread of its own: a browser test leaves its loop running in this one."""
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(asyncio.run, work).result()


def eventually(
    ask: Callable[[], Answer | None], *, within_s: float = 15.0, what: str = "the condition"
) -> Answer:
    """Ask until the answer is true-ish, and return it; fail with the last answer at the deadline."""
    deadline = monotonic() + within_s
    pause = Pause()
    while not (answer := ask()):
        if monotonic() > deadline:
            pytest.fail(f"{what}: not within {within_s} s; last answer {answer!r}")
        pause()
    return answer


@contextlib.contextmanager
def created_database(server_url: str, purpose: str, template: str | None = None) -> Iterator[str]:
    """Create a database with a name of its own, yield the name, drop it."""
    name = f"pw_{purpose}_{uuid.uuid4().hex[:12]}"
    with psycopg.connect(server_url, autocommit=True) as admin:
        store.create_database(admin, name, template)
    try:
        yield name
    finally:
        with psycopg.connect(server_url, autocommit=True) as admin:
            store.drop_database(admin, name)


def in_database(server_url: str, name: str) -> str:
    """Return the URL of another database of the same server."""
    parts = urlsplit(server_url)
    return urlunsplit(parts._replace(path="/" + name))


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[str]:
    configured = os.environ.get("PLEDGEWATCH_TEST_DATABASE_URL")
    if configured:
        yield configured
        return
    with (
        tempfile.TemporaryDirectory(prefix="pledgewatch-tests-", dir=_memory_folder()) as folder,
        EmbeddedPostgres(Path(folder) / "postgres", extra_settings=TEST_SERVER_SETTINGS) as server,
    ):
        yield server.dsn


def _memory_folder() -> Path | None:
    """Return a folder in memory with room for a server: making a database there is ten times as fast."""
    folder = Path("/dev/shm")  # noqa: S108 - TemporaryDirectory makes a private folder in it
    if not os.access(folder, os.W_OK) or shutil.disk_usage(folder).free < LEAST_MEMORY_BYTES:
        return None
    return folder


@dataclass(frozen=True, slots=True)
class TemplateDatabase:
    name: str
    # TimescaleDB keeps background workers connected, and CREATE DATABASE refuses a template in use.
    copyable: bool


@pytest.fixture(scope="session")
def template_db(postgres_server: str) -> Iterator[TemplateDatabase]:
    with created_database(postgres_server, "template") as name:
        report = migrate(in_database(postgres_server, name))
        yield TemplateDatabase(name, copyable=report.mode.timescaledb is None)


@contextlib.contextmanager
def migrated_database(server_url: str, template: TemplateDatabase, purpose: str) -> Iterator[str]:
    """Create a migrated database, yield its URL, drop it."""
    with created_database(server_url, purpose, template.name if template.copyable else None) as name:
        url = in_database(server_url, name)
        if not template.copyable:
            migrate(url)
        yield url


@pytest.fixture
def database_url(postgres_server: str, template_db: TemplateDatabase) -> Iterator[str]:
    with migrated_database(postgres_server, template_db, "test") as url:
        yield url


@pytest.fixture
def empty_database_url(postgres_server: str) -> Iterator[str]:
    with created_database(postgres_server, "empty") as name:
        yield in_database(postgres_server, name)


@pytest.fixture
def db(database_url: str) -> Iterator[Connection]:
    with connect(database_url, name="test") as connection:
        yield connection
        connection.rollback()


@dataclass(slots=True)
class BrokerUnderTest:
    """A running broker, with accounts that tests add."""

    embedded: EmbeddedBroker
    accounts: dict[str, str] = field(default_factory=dict)

    @property
    def host(self) -> str:
        return "127.0.0.1"

    @property
    def port(self) -> int:
        """The inner port, where every account may choose its client id."""
        return self.embedded.inner_port

    @property
    def device_port(self) -> int:
        """The port for devices: there the user name is the client id."""
        return self.embedded.port

    @property
    def url(self) -> str:
        """Without an account, for devices."""
        return self.embedded.host_url

    @property
    def ingest_url(self) -> str:
        """With the account of ingest; what PLEDGEWATCH_MQTT_URL would be."""
        return self.embedded.mqtt_url

    @property
    def ingest_password(self) -> str:
        return str(urlsplit(self.ingest_url).password)

    def log_text(self) -> str:
        return self.embedded.log.read_text(encoding="utf-8", errors="replace")

    def add_user(self, username: str, password: str | None = None) -> str:
        """Add a device account, valid at once, and return its password."""
        return self.add_users([username], password)[username]

    def add_users(self, usernames: list[str], password: str | None = None) -> dict[str, str]:
        """Add many accounts with one reload."""
        passwords = {username: password or new_mqtt_password() for username in usernames}
        for username, chosen in passwords.items():
            self.accounts[username] = mosquitto_password_hash(chosen)
        self.embedded.reload_credentials(self.accounts.items())
        return passwords

    def remove_user(self, username: str) -> None:
        del self.accounts[username]
        self.embedded.reload_credentials(self.accounts.items())


def start_broker(data_dir: Path) -> BrokerUnderTest:
    if find_mosquitto() is None:
        missing("broker", "mosquitto is not on the PATH")
    embedded = EmbeddedBroker(data_dir, kind="mosquitto")
    embedded.start()
    return BrokerUnderTest(embedded)


@pytest.fixture(scope="session")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BrokerUnderTest]:
    started = start_broker(tmp_path_factory.mktemp("broker"))
    yield started
    started.embedded.stop()


@pytest.fixture
def fresh_broker(tmp_path: Path) -> Iterator[BrokerUnderTest]:
    started = start_broker(tmp_path / "fresh-broker")
    yield started
    started.embedded.stop()
