"""Doctor's look at the database and the broker: configured, running, or what `up` would start."""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import unquote, urlsplit

import psycopg

from core.db.pool import connect
from core.settings import Settings
from pledgewatch.embedded import mosquitto, node, pgbinaries, store
from pledgewatch.embedded.findings import Check
from pledgewatch.embedded.identity import choose_identity
from pledgewatch.embedded.masking import masked
from pledgewatch.embedded.probe import ACCEPTED, mqtt_connect_code
from pledgewatch.embedded.stack import running_database_url, running_mqtt_url

PLAIN_MQTT_PORT = 1883
AEDES_DIFFERENCES = (
    "memory only: a broker restart loses sessions and queued reports; MQTT 3.1.1 only, so a message for "
    "nobody is acknowledged like any other; no window and no queue limit: a backlog takes memory; no shared "
    "subscriptions; a forbidden publish ends the connection"
)


def postgres(settings: Settings) -> Iterator[Check]:
    """Say which PostgreSQL is used, or would be."""
    url = settings.database_url or running_database_url(settings.data_dir)
    if url is None:
        found = pgbinaries.find_postgres()
        yield Check(
            "PostgreSQL", "ok", f"{found.version}, {found.origin}; would run {choose_identity().describe()}"
        )
        return
    whose = "PLEDGEWATCH_DATABASE_URL" if settings.database_url else "embedded, running"
    try:
        with connect(url, name="doctor") as connection:
            yield Check("PostgreSQL", "ok", f"{store.server_version(connection)} ({whose})")
    except psycopg.OperationalError as error:
        reason = masked(str(error).strip().splitlines()[0])
        yield Check(
            "PostgreSQL", "missing", f"{whose} does not answer: {reason}", "check the URL and the server"
        )


def timescaledb(settings: Settings) -> Iterator[Check]:
    """Say whether reports go to a hypertable or to plain daily partitions."""
    url = settings.database_url or running_database_url(settings.data_dir)
    versions = None
    if url is not None:
        try:
            with connect(url, name="doctor") as connection:
                versions = store.extension_versions(connection, "timescaledb")
        except psycopg.OperationalError:
            return  # the line above has said it
    if versions is None:
        yield Check(
            "TimescaleDB", "note", "absent: plain daily partitions", "for production: docker-compose.yml"
        )
        return
    installed, available = versions
    if installed:
        yield Check("TimescaleDB", "ok", installed)
    else:
        yield Check("TimescaleDB", "note", f"{available} is available, not used", "pledgewatch migrate")


def broker(settings: Settings) -> Iterator[Check]:
    """Say which MQTT broker is used, or would be, and how it differs."""
    url = settings.mqtt_url or running_mqtt_url(settings.data_dir)
    if url is not None:
        yield _answering_broker(url, "PLEDGEWATCH_MQTT_URL" if settings.mqtt_url else "embedded, running")
    if settings.mqtt_url:
        return
    program = mosquitto.find_mosquitto()
    if program is not None:
        yield Check("MQTT broker", "ok", f"Mosquitto {mosquitto.mosquitto_version(program)}, {program}")
        return
    found, version = node.find_node(), node.aedes_version()
    if found is None or version is None:
        yield Check(
            "MQTT broker", "missing", "neither Mosquitto nor aedes", "make setup, or install mosquitto"
        )
        return
    yield Check(
        "MQTT broker",
        "note",
        f"aedes {version} under Node {found.version}: {AEDES_DIFFERENCES}",
        "install mosquitto",
    )


def _answering_broker(url: str, whose: str) -> Check:
    parts = urlsplit(url)
    if parts.scheme not in {"mqtt", "tcp"}:
        return Check("MQTT broker", "note", f"{whose}: {parts.scheme}:// is not tried from here")
    host, port = parts.hostname or "", parts.port or PLAIN_MQTT_PORT
    code = mqtt_connect_code(host, port, unquote(parts.username or ""), unquote(parts.password or ""))
    if code == ACCEPTED:
        return Check("MQTT broker", "ok", f"{host}:{port} lets us in ({whose})")
    if code is None:
        return Check("MQTT broker", "missing", f"{whose}: {host}:{port} does not answer", "check the URL")
    return Check("MQTT broker", "missing", f"{whose}: refused with code {code}", "check user and password")
