"""`python -m pledgewatch.bench.consumers KIND COUNT`: what the ingest process is compared with.

Each takes COUNT reports from the broker and prints `ready` when it listens, `done SECONDS` (of the
monotonic clock) when it has what it wanted. Written the way their names say, on purpose.

insert_per_message  paho as it comes, json.loads, one INSERT with its own commit for each message
executemany         the same, 500 messages to an executemany with ON CONFLICT DO NOTHING
paho_loop           paho's own loop, MQTT 5 as ours, acknowledged by hand one by one, nothing stored
paho_loop_311       the same with paho's default, MQTT 3.1.1: fewer bytes and no properties to read
receive_ack         the transport in use (INGEST_TRANSPORT): received in batches, acknowledged, nothing stored
"""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Callable
from typing import Any

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion

from core.clock import monotonic
from core.db.pool import connect
from core.settings import load_settings
from ingest.mqtt.address import parse_url
from ingest.mqtt.chosen import transport_of
from ingest.transport import Connected
from ingest.worker import FLUSH_S, MOST_BYTES, MOST_MESSAGES
from pledgewatch.bench.store import insert_peer_report, insert_peer_reports

EVERY_REPORT = "pw/v1/+/+/telemetry"
BATCH = 500

Take = Callable[[Any, Any], None]


def main(kind: str, count: int) -> int:
    """Run one consumer until it is told to stop."""
    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
    CONSUMERS[kind](count)
    return 0


def _say(text: str) -> None:
    print(text, flush=True)


def _done() -> None:
    _say(f"done {monotonic()}")


def _serve(
    take: Take, *, manual_ack: bool = False, protocol: MQTTProtocolVersion = MQTTProtocolVersion.MQTTv311
) -> None:
    """Let paho's loop hand every report to ``take(client, message)``."""
    address = parse_url(_url())
    client: Any = mqtt.Client(
        CallbackAPIVersion.VERSION2, client_id="bench-peer", protocol=protocol, manual_ack=manual_ack
    )
    client.username_pw_set(address.username, address.password)
    client.on_connect = lambda *_: client.subscribe(EVERY_REPORT, qos=1)
    client.on_subscribe = lambda *_: _say("ready")
    client.on_message = lambda _client, _data, message: take(client, message)
    client.connect(address.host, address.port)
    client.loop_forever()


def _url() -> str:
    url = load_settings().mqtt_url
    assert url is not None  # noqa: S101 - the bench sets it
    return url


def _database() -> Any:
    url = load_settings().database_url
    assert url is not None  # noqa: S101 - the bench sets it
    return connect(url, name="bench-peer", autocommit=True)


def insert_per_message(count: int) -> None:
    """Store each message by itself."""
    conn = _database()
    stored = 0

    def take(_client: Any, message: Any) -> None:
        nonlocal stored
        insert_peer_report(conn, json.loads(message.payload))
        stored += 1
        if stored == count:
            _done()

    _serve(take)


def executemany(count: int) -> None:
    """Store 500 at a time."""
    conn = _database()
    stored = 0
    waiting: list[dict[str, Any]] = []

    def take(_client: Any, message: Any) -> None:
        nonlocal stored
        waiting.append(json.loads(message.payload))
        if len(waiting) == BATCH or stored + len(waiting) == count:
            with conn.transaction():
                insert_peer_reports(conn, waiting)
            stored += len(waiting)
            waiting.clear()
            if stored == count:
                _done()

    _serve(take)


def paho_loop(count: int, protocol: MQTTProtocolVersion = MQTTProtocolVersion.MQTTv5) -> None:
    """Receive and acknowledge one at a time."""
    taken = 0

    def take(client: Any, message: Any) -> None:
        nonlocal taken
        client.ack(message.mid, message.qos)
        taken += 1
        if taken == count:
            _done()

    _serve(take, manual_ack=True, protocol=protocol)


def receive_ack(count: int) -> None:
    """Receive and acknowledge as the ingest worker does."""
    transport = transport_of(load_settings())(_url(), "bench-receive", [(EVERY_REPORT, 1)])
    transport.connect()
    taken = 0
    while True:
        deliveries = transport.recv_batch(
            most=MOST_MESSAGES, most_bytes=MOST_BYTES, flush_s=FLUSH_S, wait_s=0.25
        )
        transport.ack([delivery.token for delivery in deliveries if delivery.token is not None])
        if any(isinstance(event, Connected) for event in transport.events()):
            _say("ready")
        if taken < count <= taken + len(deliveries):
            _done()
        taken += len(deliveries)


CONSUMERS: dict[str, Callable[[int], None]] = {
    "insert_per_message": insert_per_message,
    "executemany": executemany,
    "paho_loop": paho_loop,
    "paho_loop_311": lambda count: paho_loop(count, MQTTProtocolVersion.MQTTv311),
    "receive_ack": receive_ack,
}

if __name__ == "__main__":
    sys.exit(main(sys.argv[1], int(sys.argv[2])))
