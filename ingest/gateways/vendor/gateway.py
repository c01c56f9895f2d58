"""The process: one thread for each source that is pulled, one server for those that push."""

from __future__ import annotations

import contextlib
import signal
import threading
import zlib
from collections.abc import Sequence
from typing import TYPE_CHECKING

import psycopg
import structlog
import uvicorn

from core.db.pool import connect
from core.errors import Misconfigured, PledgewatchError
from core.feeds.fetching import open_client
from core.job_runs.store import try_lock
from ingest.gateways.vendor import store
from ingest.gateways.vendor.pulling import forward, pull
from ingest.gateways.vendor.reading import items_of
from ingest.gateways.vendor.source import Source, load_source
from ingest.gateways.vendor.webhook import webhook_app
from ingest.link import Link

if TYPE_CHECKING:
    import httpx

    from core.db.pool import Connection
    from core.settings import Settings

SOURCE_LOCKS = 7214
"""Of several processes one pulls a source: the lock goes with its connection."""
RETRY_S = 5.0
MOST_CONNECTIONS = 64

_log = structlog.get_logger("vendor")


def declared_sources(settings: Settings) -> list[Source]:
    """Return the sources of PLEDGEWATCH_VENDOR_SOURCES.

    Raises:
        Misconfigured: there is none, one has a mistake, or two have the same name.
    """
    files = [name.strip() for name in settings.vendor_sources.split(",") if name.strip()]
    sources = [load_source(file) for file in files]
    if not sources or len({source.name for source in sources}) < len(sources):
        raise Misconfigured(
            "PLEDGEWATCH_VENDOR_SOURCES: expected TOML files, comma-separated, each with a name of its own",
            code="bad_source",
        )
    return sources


class Puller:
    """Pulls one source for ever, in a thread of its own."""

    def __init__(self, database_url: str, mqtt_url: str, source: Source, stop: threading.Event) -> None:
        self._database_url = database_url
        self._source = source
        self._stop = stop
        self._link = Link(mqtt_url, f"pw-vendor-{source.name}")

    def run(self) -> None:
        """Pull until ``stop``; whatever fails is tried again."""
        with open_client() as client:
            while not self._stop.is_set():
                try:
                    with connect(self._database_url, name="vendor", autocommit=True) as conn:
                        lock = (SOURCE_LOCKS, zlib.crc32(self._source.name.encode()) & 0x7FFFFFFF)
                        while not self._stop.is_set() and try_lock(conn, lock):
                            self._once(conn, client)
                            self._stop.wait(self._source.every_s)
                except psycopg.Error as exc:
                    _log.warning("database_away", source=self._source.name, error=str(exc).partition("\n")[0])
                self._stop.wait(RETRY_S)
        with contextlib.suppress(OSError):
            self._link.close()

    def _once(self, conn: Connection, client: httpx.Client) -> None:
        if store.is_resting(conn, self._source.name):
            return
        try:
            done = pull(conn, self._source, client, self._link)
        except PledgewatchError as exc:
            _log.warning("vendor_pull_failed", source=self._source.name, code=exc.code, error=exc.message)
        except psycopg.Error:
            raise
        except Exception as exc:  # noqa: BLE001 - what nobody thought of must not end the thread unseen
            _log.exception("vendor_pull_failed", source=self._source.name)
            message = f"{type(exc).__name__}: {exc}"
            store.record_failure(conn, self._source.name, code="internal", message=message)
        else:
            _log.info("vendor_pulled", source=self._source.name, **done._asdict())


class Receiver:
    """Publishes what was pushed; called by one request at a time."""

    def __init__(self, database_url: str, mqtt_url: str) -> None:
        self._database_url = database_url
        self._link = Link(mqtt_url, "pw-vendor-webhook")

    def forward(self, source: Source, body: bytes) -> int:
        """Publish the items of a body and return how many there were.

        Raises:
            Upstream: the body is not as declared. Unavailable: the broker did not take it.
        """
        try:
            _, items = items_of(body, source)
            unreadable = forward(self._link, source, items)
        except PledgewatchError as exc:
            self._record(source, exc, 0)
            raise
        self._record(source, None, len(items))
        _log.info("vendor_pushed", source=source.name, items=len(items), unreadable=unreadable)
        return len(items)

    def _record(self, source: Source, error: PledgewatchError | None, items: int) -> None:
        """Note how it went; the reports are with the broker, whether or not the database is there."""
        try:
            with connect(self._database_url, name="vendor", autocommit=True) as conn:
                if error is None:
                    store.record_success(conn, source.name, None, items)
                else:
                    store.record_failure(conn, source.name, code=error.code, message=error.message)
        except psycopg.Error as exc:
            _log.warning("database_away", source=source.name, error=str(exc).partition("\n")[0])


def start_pullers(
    settings: Settings, mqtt_url: str, sources: Sequence[Source], stop: threading.Event
) -> list[threading.Thread]:
    """Start a thread for each source that is pulled."""
    threads = [
        threading.Thread(
            target=Puller(settings.database_url or "", mqtt_url, source, stop).run,
            name=f"vendor-{source.name}",
        )
        for source in sources
        if source.pull is not None
    ]
    for thread in threads:
        thread.start()
    return threads


def run(settings: Settings) -> None:
    """Serve until a signal.

    Raises:
        Misconfigured: a URL, a secret or a source is missing or wrong.
    """
    mqtt_url = settings.gateway_mqtt_url
    if settings.database_url is None or mqtt_url is None:
        raise Misconfigured(
            "Expected PLEDGEWATCH_DATABASE_URL and PLEDGEWATCH_GATEWAY_MQTT_URL", code="url_missing"
        )
    sources = declared_sources(settings)
    pushing = [source for source in sources if source.push is not None]
    app = webhook_app(pushing, Receiver(settings.database_url, mqtt_url).forward)
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    threads = start_pullers(settings, mqtt_url, sources, stop)
    try:
        if pushing:
            uvicorn.run(
                app, host=settings.vendor_host, port=settings.vendor_port, log_config=None,
                limit_concurrency=MOST_CONNECTIONS, timeout_keep_alive=5,
            )  # fmt: skip
        else:
            stop.wait()
    finally:
        stop.set()
        for thread in threads:
            thread.join()
