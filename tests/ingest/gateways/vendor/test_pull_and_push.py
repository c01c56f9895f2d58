"""A vendor's server that misbehaves and a broker that is not there: what was not taken is asked for again."""

from __future__ import annotations

import dataclasses
import hashlib
import hmac
import json
import random
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import uvicorn

from core.clock import to_ms, wall_now
from core.db.pool import connect
from core.errors import Misconfigured, PledgewatchError, Unavailable
from core.feeds.fetching import open_client
from core.topics import build, default_shard
from ingest.gateways.vendor import gateway, store
from ingest.gateways.vendor.gateway import Puller, Receiver
from ingest.gateways.vendor.pulling import Pulled, pull
from ingest.gateways.vendor.source import Source, load_source
from ingest.gateways.vendor.webhook import webhook_app
from ingest.link import TAKEN, Letter, Link
from tests.fix_stack import BrokerUnderTest, eventually
from tests.mqtt_talk import Talker
from tests.valuation.feed import Answer, Feed, serving

DECLARED = """
name = "acme"
items = "list"
datum = "wgs84"
[pull]
url = "{url}/positions?fleet=1"
cursor = "since"
start = "0"
newest = "id"
more = "more"
[push]
path = "/hooks/acme"
secret_env = "ACME_SECRET"
prefix = "sha256="
time_header = "X-Timestamp"
[auth]
env = "ACME_TOKEN"
[limits]
requests_per_s = 1000
timeout_s = 2
attempts = 2
most_page_mb = 0.05
most_pages = 4
[device]
field = "imei"
[time]
field = "t"
format = "epoch_s"
[fields]
lat = "lat"
lng = "lon"
"""
SECRET = "a secret of the webhook"


def declared(tmp_path: Path, url: str) -> Source:
    path = tmp_path / "acme.toml"
    path.write_text(DECLARED.replace("{url}", url), encoding="utf-8")
    return load_source(path)


def page(*ids: int, more: bool = False) -> Answer:
    rows = [
        {"id": number, "imei": f"cloud-{number % 2}", "t": 1_763_780_645 + number, "lat": 31.2, "lng": 121.4}
        for number in ids
    ]
    return Answer(body=json.dumps({"list": rows, "more": more}).encode())


def at(cursor: int) -> str:
    return f"/positions?fleet=1&since={cursor}"


def heard_ids(talker: Talker) -> int:
    return sum(len(json.loads(payload)) for _, payload in talker.heard)


@pytest.fixture
def feed() -> Iterator[Feed]:
    with serving() as running:
        yield running


def test_the_cursor_moves_only_past_what_the_broker_acknowledged(
    database_url: str, fresh_broker: BrokerUnderTest, feed: Feed, tmp_path: Path, monkeypatch
):
    monkeypatch.setenv("ACME_TOKEN", "a token")
    source = declared(tmp_path, feed.url)
    link = Link(fresh_broker.embedded.gateway_url, "test-vendor")
    with connect(database_url, name="test", autocommit=True) as conn, open_client() as client:

        def tried() -> tuple[str, str | None]:
            """Pull once; returns how it ended and where the cursor stands."""
            try:
                pull(conn, source, client, link, waiting=lambda _: None, chance=random.Random(1))
            except PledgewatchError as exc:
                return exc.code, store.cursor_of(conn, "acme")
            return "pulled", store.cursor_of(conn, "acme")

        feed.on(at(0), page(1, 2, more=True))
        feed.on(at(2), page(3, 10))
        # Nobody listens: the broker acknowledges, and throws away.
        assert tried() == ("broker_unavailable", None)
        with Talker(
            fresh_broker.host, fresh_broker.port, "slot", "ingest", fresh_broker.ingest_password
        ).connected() as slot:
            for name in ("cloud-0", "cloud-1"):
                slot.subscribe(build(default_shard(name), name, "telemetry"))
            assert tried() == ("pulled", "10")
            eventually(lambda: heard_ids(slot) == 4, what="four reports")
            assert feed.asked[-1].headers["authorization"] == "Bearer a token"
            # The next page fails after the first of two: the first is not asked for again.
            feed.on(at(10), page(11, more=True))
            feed.on(at(11), Answer(status=500))
            assert tried() == ("http_status", "11")
            assert store.is_resting(conn, "acme")
            feed.on(at(11), Answer(status=503, headers={"Retry-After": "1"}), page(12))
            assert tried() == ("pulled", "12")
            assert not store.is_resting(conn, "acme")
            eventually(lambda: heard_ids(slot) == 6, what="six reports")

            elsewhere = feed.url.replace("127.0.0.1", "localhost") + "/positions"
            for answer, code in (
                (Answer(status=302, headers={"Location": elsewhere}), "foreign_address"),
                (Answer(status=302, headers={"Location": "http://169.254.169.254/"}), "foreign_address"),
                (Answer(status=302, headers={"Location": at(12)}), "too_many_redirects"),
                (Answer(status=401), "http_status"),
                (Answer(body=b"<html>", kind="text/html"), "wrong_content_type"),
                (Answer(body=b'{"list": []'), "bad_json"),
                (Answer(body=b'{"rows": []}'), "schema_drift"),
                (Answer(body=b'{"list": [{"id": 13}]}'), "schema_drift"),
                (Answer(body=b'{"list": [{"imei": "x", "t": 1, "lat": 1, "lng": 1}]}'), "schema_drift"),
                # "None" and what has a NUL in it would be cursors for ever.
                (
                    Answer(body=b'{"list": [{"id": null, "imei": "x", "t": 1, "lat": 1, "lng": 1}]}'),
                    "schema_drift",
                ),
                (
                    Answer(body=b'{"list": [{"id": "9\\u0000", "imei": "x", "t": 1, "lat": 1, "lng": 1}]}'),
                    "schema_drift",
                ),
                (Answer(body=b'{"list": [{"\\u0000": 1}]}'), "schema_drift"),
                (Answer(body=b"[" + b" " * 60_000 + b"]"), "too_large"),
                (Answer(body=b'{"list": [', declared=100), "truncated"),
                (page(12, more=True), "endless_pages"),
            ):
                feed.on(at(12), answer)
                assert tried() == (code, "12"), code
            feed.on(at(12), Answer(body=b'{"list": []}'))
            assert tried() == ("pulled", "12")
            eventually(lambda: heard_ids(slot) == 7, what="the page that was served for ever, once")
            fresh_broker.embedded.stop()
            feed.on(at(12), page(14))
            assert tried() == ("broker_unavailable", "12")
    link.close()


def test_a_link_that_the_broker_hung_up_on_is_opened_anew_before_anything_is_sent(
    fresh_broker: BrokerUnderTest,
):
    letter = Letter("pw/v1/00/cloud-0/telemetry", b"[]")
    with Talker(
        fresh_broker.host, fresh_broker.port, "slot", "ingest", fresh_broker.ingest_password
    ).connected() as slot:
        slot.subscribe(letter.topic)
        first, second = (Link(fresh_broker.embedded.gateway_url, "test-same-name") for _ in range(2))
        try:
            # Each is thrown out when the other comes, as by a keepalive that nobody kept.
            for link in (first, second, first, second):
                assert link.publish([letter]) == [TAKEN]
        finally:
            second.close()
            first.close()
        eventually(lambda: len(slot.heard) == 4, what="four letters")


def test_a_failure_nobody_thought_of_is_recorded_and_the_source_pulled_again(
    database_url: str, feed: Feed, tmp_path: Path, monkeypatch
):
    source = declared(tmp_path, feed.url)
    calls = []

    def surprised(*_: Any) -> Pulled:
        calls.append(1)
        if len(calls) > 1:
            stop.set()
            return Pulled(0, 0, 0, None)
        raise OverflowError("a number\x00 beyond words")

    stop = threading.Event()
    monkeypatch.setattr(gateway, "pull", surprised)
    monkeypatch.setattr(store, "is_resting", lambda *_: False)
    quick = dataclasses.replace(source, every_s=0.01)
    Puller(database_url, "mqtt://127.0.0.1:1", quick, stop).run()
    assert len(calls) == 2
    with connect(database_url, name="test") as conn:
        row = conn.execute("SELECT failures, last_code, last_error FROM vendor_source").fetchone()
    assert row == (1, "internal", "OverflowError: a number\ufffd beyond words")


def test_a_source_without_its_token_says_which(database_url: str, feed: Feed, tmp_path: Path, monkeypatch):
    monkeypatch.delenv("ACME_TOKEN", raising=False)
    with (
        connect(database_url, name="test", autocommit=True) as conn,
        open_client() as client,
        pytest.raises(Misconfigured, match="ACME_TOKEN"),
    ):
        pull(conn, declared(tmp_path, feed.url), client, Link("mqtt://127.0.0.1:1", "x"))
    assert feed.asked == []


class Hook:
    """A receiver of pushes on loopback."""

    def __init__(self, source: Source, taken: list[bytes]) -> None:
        self.down = False
        self.taken = taken
        app = webhook_app([source], self._forward)
        self._server = uvicorn.Server(uvicorn.Config(app, host="127.0.0.1", port=0, log_config=None))
        self._thread = threading.Thread(target=self._server.run, daemon=True)
        self._thread.start()
        eventually(lambda: self._server.started, what="the server listens")
        self.url = f"http://127.0.0.1:{self._server.servers[0].sockets[0].getsockname()[1]}/hooks/acme"

    def _forward(self, source: Source, body: bytes) -> int:
        if self.down:
            raise Unavailable("the broker is away", code="broker_unavailable")
        self.taken.append(body)
        return len(json.loads(body)["list"])

    def stop(self) -> None:
        self._server.should_exit = True
        self._thread.join(timeout=20)


def signature(body: bytes, sent: str, secret: str = SECRET) -> dict[str, str]:
    made = hmac.new(secret.encode(), sent.encode() + b"." + body, hashlib.sha256).hexdigest()
    return {"X-Signature": f"sha256={made}", "X-Timestamp": sent, "Content-Type": "application/json"}


def test_a_push_is_accepted_signed_fresh_and_small_and_only_when_the_broker_took_it(
    tmp_path: Path, monkeypatch
):
    monkeypatch.setenv("ACME_SECRET", SECRET)
    taken: list[bytes] = []
    hook = Hook(declared(tmp_path, "http://127.0.0.1:1"), taken)
    body, now = page(1, 2).body, str(to_ms(wall_now()) // 1000)
    try:
        with httpx.Client(timeout=20) as client:

            def post(content: bytes, headers: dict[str, Any]) -> int:
                return client.post(hook.url, content=content, headers=headers).status_code

            assert client.post(hook.url, content=body, headers=signature(body, now)).json() == {"accepted": 2}
            old = str(int(now) - 3_600)
            assert post(body, {}) == 401
            assert post(body, signature(body, now, "another secret")) == 401
            assert post(body + b" ", signature(body, now)) == 401
            assert post(body, signature(body, now) | {"X-Timestamp": str(int(now) + 1)}) == 401
            assert post(body, signature(body, old)) == 401
            odd: dict[str, Any] = signature(body, now) | {"X-Signature": b"sha256=\xc3\xa9"}
            assert post(body, odd) == 401
            large = b" " * 60_000 + body
            assert post(large, signature(large, now)) == 413
            chunked = client.post(hook.url, content=iter([large]), headers=signature(large, now))
            assert chunked.status_code == 413
            assert client.get(hook.url).status_code == 405
            hook.down = True
            answer = client.post(hook.url, content=body, headers=signature(body, now))
            assert (answer.status_code, answer.headers["Retry-After"]) == (503, "5")
            hook.down = False
            assert post(body, signature(body, now)) == 200
    finally:
        hook.stop()
    assert taken == [body, body]


def test_the_receiver_hands_a_push_to_the_broker_and_keeps_account(
    database_url: str, fresh_broker: BrokerUnderTest, tmp_path: Path
):
    source = declared(tmp_path, "http://127.0.0.1:1")
    receiver = Receiver(database_url, fresh_broker.embedded.gateway_url)
    body = page(1, 2, 3).body
    with pytest.raises(Unavailable):  # nobody listens yet
        receiver.forward(source, body)
    with Talker(
        fresh_broker.host, fresh_broker.port, "slot", "ingest", fresh_broker.ingest_password
    ).connected() as slot:
        slot.subscribe("pw/v1/+/+/telemetry")
        assert receiver.forward(source, body) == 3
        eventually(lambda: heard_ids(slot) == 3, what="three reports")
    with pytest.raises(PledgewatchError, match="JSON"):
        receiver.forward(source, b"nonsense")
    with connect(database_url, name="test") as conn:
        row = conn.execute("SELECT items, failures, last_code, cursor FROM vendor_source").fetchone()
    assert row == (3, 1, "bad_json", None)


def test_a_webhook_without_a_proper_secret_does_not_start(tmp_path: Path, monkeypatch):
    monkeypatch.setenv("ACME_SECRET", "short")
    with pytest.raises(Misconfigured, match="ACME_SECRET"):
        webhook_app([declared(tmp_path, "http://127.0.0.1:1")], lambda *_: 0)
