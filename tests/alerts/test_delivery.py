"""Delivery: signed, retried with growing pauses, given up visibly, never sent by two at once."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from alerts.delivery.channels import SIGNATURE_HEADER, open_channels, signature
from alerts.delivery.sender import FIRST_RETRY_S, LONGEST_RETRY_S, MAX_ATTEMPTS, retry_delay_s, send_due
from alerts.delivery.store import lease
from alerts.intake import take_findings
from core.db.pool import Connection, connect
from core.errors import Misconfigured
from tests.alerts.findings_builder import START, FixedClock, finding, pledged_vehicle, write

SECRET = "correct horse battery staple"


@dataclass
class Receiver:
    """A real HTTP server that answers as told and remembers what it got."""

    url: str
    statuses: list[int] = field(default_factory=list)
    requests: list[tuple[dict[str, str], bytes]] = field(default_factory=list)


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            got.requests.append((dict(self.headers), body))
            self.send_response(got.statuses.pop(0) if got.statuses else 204)
            self.end_headers()

        def log_message(self, *args: object) -> None:
            """Keep the test's output quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    got = Receiver(f"http://127.0.0.1:{server.server_port}/alerts")
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield got
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def conn(database_url: str) -> Iterator[Connection]:
    with connect(database_url, name="test-delivery", autocommit=True) as connection:
        yield connection


def raise_alert(conn: Connection, channels: dict[str, object]) -> None:
    pledged_vehicle(conn, "V1")
    write(conn, finding("raise", 0))
    take_findings(conn, FixedClock(START), list(channels))


def make_due(conn: Connection) -> None:
    conn.execute("UPDATE delivery SET next_at = clock_timestamp()")


def test_a_webhook_gets_a_message_whose_signature_can_be_checked(
    conn: Connection, receiver: Receiver
) -> None:
    channels = open_channels(receiver.url, SECRET)
    raise_alert(conn, dict(channels))
    assert send_due(conn, channels) == 1
    headers, body = receiver.requests[0]
    stamp = int(headers[SIGNATURE_HEADER].split(",")[0].removeprefix("t="))
    assert headers[SIGNATURE_HEADER] == signature(SECRET, datetime.fromtimestamp(stamp, UTC), body)
    assert json.loads(body)["alert"]["plate"] == "皖A12345"
    assert conn.execute("SELECT state FROM delivery").fetchall() == [("sent",)]
    assert send_due(conn, channels) == 0


def test_a_refused_message_is_tried_again_later_under_the_same_key(
    conn: Connection, receiver: Receiver
) -> None:
    receiver.statuses = [503, 302]
    channels = open_channels(receiver.url, SECRET)
    raise_alert(conn, dict(channels))
    for _ in range(3):
        make_due(conn)
        assert send_due(conn, channels) == 1
    assert conn.execute("SELECT state, attempts FROM delivery").fetchall() == [("sent", 3)]
    assert len({headers["Idempotency-Key"] for headers, _ in receiver.requests}) == 1


def test_a_failed_message_is_not_due_at_once(conn: Connection, receiver: Receiver) -> None:
    receiver.statuses = [500]
    channels = open_channels(receiver.url, SECRET)
    raise_alert(conn, dict(channels))
    assert [send_due(conn, channels), send_due(conn, channels)] == [1, 0]


def test_a_receiver_that_is_gone_makes_a_dead_letter_after_eight_tries(conn: Connection) -> None:
    channels = open_channels("http://127.0.0.1:9/alerts", SECRET)
    raise_alert(conn, dict(channels))
    for _ in range(MAX_ATTEMPTS):
        make_due(conn)
        assert send_due(conn, channels) == 1
    row = conn.execute("SELECT state, attempts, last_error FROM delivery").fetchone()
    assert row is not None
    assert row[:2] == ("dead", MAX_ATTEMPTS)
    assert "ConnectError" in row[2]


def test_two_senders_never_hold_the_same_delivery(conn: Connection, receiver: Receiver) -> None:
    raise_alert(conn, dict(open_channels(receiver.url, SECRET)))
    assert [len(lease(conn, 10)), len(lease(conn, 10))] == [1, 0]


def test_a_sender_that_died_is_replaced_when_its_lease_ends(conn: Connection, receiver: Receiver) -> None:
    channels = open_channels(receiver.url, SECRET)
    raise_alert(conn, dict(channels))
    lease(conn, 10)
    conn.execute("UPDATE delivery SET leased_until = clock_timestamp() - interval '1 second'")
    assert send_due(conn, channels) == 1


def test_pauses_grow_from_five_seconds_to_half_an_hour() -> None:
    delays = [retry_delay_s(attempt) for attempt in range(1, MAX_ATTEMPTS + 1)]
    assert delays[0] == FIRST_RETRY_S
    assert delays[-1] is None
    known = [delay for delay in delays if delay is not None]
    assert known == sorted(known)
    assert max(known) <= LONGEST_RETRY_S


def test_an_apprise_url_reaches_a_real_server_too(conn: Connection, receiver: Receiver) -> None:
    channels = open_channels(receiver.url.replace("http://", "json://"), None)
    raise_alert(conn, dict(channels))
    assert send_due(conn, channels) == 1
    assert "TOW_SUSPECTED" in json.loads(receiver.requests[0][1])["title"]


def test_a_webhook_without_a_secret_or_an_unknown_service_is_refused_at_start() -> None:
    with pytest.raises(Misconfigured, match="PLEDGEWATCH_WEBHOOK_SECRET"):
        open_channels("https://example.test/hook", None)
    with pytest.raises(Misconfigured, match="PLEDGEWATCH_NOTIFY_URLS"):
        open_channels("nosuchservice://abc", None)
