"""Pulling a market feed over real HTTP from a server that misbehaves in every way we know."""

import json
import os
import random
import subprocess
import sys

import httpx
import pytest

from core.clock import monotonic
from core.db.pool import connect
from core.errors import Misconfigured, Upstream
from core.settings import Settings
from tests.valuation.feed import Answer, items, serving
from valuation.connectors.pulling import pull
from valuation.connectors.run import pull_all
from valuation.connectors.source import load_source
from valuation.connectors.store import get_state, is_resting
from valuation.market.store import load_observations

DECLARED = """
name = "acme"
url = "{url}/listings"
items = "data.items"
next = "paging.next"
optional = ["vehicle.trim"]
{extra}
[limits]
requests_per_s = 1000
burst = 100
timeout_s = 2
attempts = 3
most_page_mb = 0.05
most_pages = 5
[columns]
id = "reference"
"vehicle.make" = "make"
"vehicle.model" = "model"
"vehicle.trim" = "trim"
"vehicle.year" = "model_year"
"vehicle.km" = "odometer_km"
ask = "price"
seen = "observed_at"
[constants]
currency = "EUR"
channel = "retail"
source = "acme"
"""


def car(at, **changes):
    vehicle = {"make": "VW", "model": "Golf", "year": 2016, "km": 40_000 + at, **changes.pop("vehicle", {})}
    return {"id": f"a{at}", "vehicle": vehicle, "ask": 9_000.5 + at, "seen": "2026-05-01", **changes}


@pytest.fixture
def feed():
    with serving() as running:
        yield running


@pytest.fixture
def declare(tmp_path, feed):
    def declare(extra="", name="acme", **replaced):
        text = DECLARED.format(url=feed.url, extra=extra).replace('name = "acme"', f'name = "{name}"')
        for was, now in replaced.items():
            assert was in text
            text = text.replace(was, now)
        (tmp_path / f"{name}.toml").write_text(text)
        return tmp_path / f"{name}.toml"

    return declare


@pytest.fixture
def conn(market_url):
    with connect(market_url, name="test", autocommit=True) as connection:
        with connection.transaction():
            for table in ("market_observation", "market_quarantine", "market_import"):
                connection.execute(f"ALTER TABLE {table} DISABLE TRIGGER USER")
            connection.execute(
                "TRUNCATE market_observation, market_quarantine, market_import, market_source_state"
            )
            for table in ("market_observation", "market_quarantine", "market_import"):
                connection.execute(f"ALTER TABLE {table} ENABLE TRIGGER USER")
        yield connection


class Asking:
    """Pulls once when called; ``waits`` tells how long the connector would have waited between attempts."""

    def __init__(self, conn, declare):
        self.conn = conn
        self.declare = declare
        self.waits: list[float] = []

    def __call__(self, path=None):
        source, chance = load_source(path or self.declare()), random.Random(1)
        with httpx.Client(trust_env=False) as client:
            return pull(self.conn, source, client, waiting=self.waits.append, chance=chance)


@pytest.fixture
def ask(conn, declare):
    return Asking(conn, declare)


def state_of(conn):
    state = get_state(conn, "acme")
    assert state is not None
    return state


def rows(conn):
    return load_observations(conn, currency="EUR", channel="retail")


def refused(ask, conn, code, path=None):
    with pytest.raises(Upstream) as caught:
        ask(path)
    assert caught.value.code == code
    state = state_of(conn)
    assert (state.last_code, state.last_error) == (code, caught.value.message)
    assert rows(conn).num_rows == 0
    assert conn.execute("SELECT count(*) FROM market_import").fetchone() == (0,)
    return caught.value


def test_all_pages_are_followed_and_stored_in_one_import(feed, conn, ask):
    feed.on("/listings", items(car(1), car(2), link="/listings?page=2"))
    feed.on("/listings?page=2", items(car(3), car(1), link=None))
    result = ask()
    assert (result.outcome, result.pages, result.kept, result.duplicate) == ("stored", 2, 3, 1)
    stored = rows(conn)
    assert sorted(stored["reference"].to_pylist()) == ["a1", "a2", "a3"]
    assert stored["price_minor"].to_pylist()[0] == 900_150
    assert conn.execute("SELECT count(*) FROM market_import").fetchone() == (1,)


def test_a_link_header_leads_to_the_next_page_too(feed, ask):
    feed.on("/listings", items(car(1), headers={"Link": '</listings?page=2>; rel="next"'}))
    feed.on("/listings?page=2", items(car(2)))
    assert (ask().pages, ask.waits) == (2, [])


def test_an_unchanged_feed_is_asked_with_its_etag_and_stores_nothing(feed, conn, ask):
    def conditional(asked):
        if asked.headers.get("if-none-match") == '"v1"':
            return Answer(status=304)
        return items(car(1), headers={"ETag": '"v1"'})

    feed.on("/listings", conditional)
    assert ask().outcome == "stored"
    again = ask()
    assert (again.outcome, again.kept) == ("unchanged", 0)
    assert feed.asked[-1].headers["if-none-match"] == '"v1"'
    assert state_of(conn).etag == '"v1"'
    assert rows(conn).num_rows == 1


def test_a_feed_without_etags_that_repeats_itself_adds_nothing(feed, conn, ask):
    feed.on("/listings", items(car(1), car(2)))
    assert [ask().outcome, ask().outcome] == ["stored", "repeated"]
    assert rows(conn).num_rows == 2


def test_too_many_requests_is_answered_by_the_wait_that_it_asks_for(feed, conn, ask):
    feed.on("/listings", Answer(status=429, headers={"Retry-After": "7"}), items(car(1)))
    assert ask().kept == 1
    assert ask.waits == [7.0]
    assert state_of(conn).failures == 0


def test_a_retry_after_beyond_patience_ends_the_pull_at_once(feed, conn, ask):
    feed.on("/listings", Answer(status=429, headers={"Retry-After": "7200"}))
    refused(ask, conn, "http_status")
    assert (len(feed.asked), ask.waits) == (1, [])


def test_a_server_that_is_down_for_a_moment_is_asked_again_with_jitter(feed, conn, ask):
    feed.on("/listings", Answer(status=503), Answer(status=502), items(car(1)))
    assert ask().kept == 1
    assert len(ask.waits) == 2
    assert 0 <= ask.waits[0] <= 0.5
    assert 0 <= ask.waits[1] <= 1.0


def test_a_server_that_stays_down_is_given_up_and_what_it_said_before_stays(feed, conn, ask):
    feed.on("/listings", items(car(1), headers={"ETag": '"v1"'}), Answer(status=503))
    ask()
    with pytest.raises(Upstream, match="503"):
        ask()
    state = state_of(conn)
    assert (state.failures, state.etag, len(feed.asked)) == (1, '"v1"', 4)
    assert rows(conn).num_rows == 1
    assert is_resting(conn, "acme")


def test_a_refusal_is_not_repeated_at_a_server_that_means_it(feed, conn, ask):
    feed.on("/listings", Answer(status=403))
    refused(ask, conn, "http_status")
    assert len(feed.asked) == 1


def test_an_answer_that_drips_is_cut_off_at_the_deadline_of_the_whole(feed, conn, ask, declare):
    slow = items(car(1))
    slow.drip_s = 0.05
    feed.on("/listings", slow)
    path = declare(**{"timeout_s = 2": "timeout_s = 0.3", "attempts = 3": "attempts = 1"})
    started = monotonic()
    refused(ask, conn, "timed_out", path)
    assert monotonic() - started < 5


def test_a_truncated_answer_is_asked_for_again_and_never_half_stored(feed, conn, ask):
    whole = items(*[car(at) for at in range(20)])
    cut = Answer(body=whole.body[: len(whole.body) // 2], declared=len(whole.body))
    feed.on("/listings", cut)
    refused(ask, conn, "truncated")
    assert len(feed.asked) == 3
    feed.on("/listings", cut, whole)
    assert ask().kept == 20


def test_a_second_page_that_fails_leaves_nothing_of_the_first(feed, conn, ask):
    feed.on("/listings", items(car(1), link="/listings?page=2"))
    feed.on("/listings?page=2", Answer(status=500))
    refused(ask, conn, "http_status")


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        (Answer(body=b"<html>busy</html>", kind="text/html"), "wrong_content_type"),
        (Answer(body=b'{"data": {"items": ['), "bad_json"),
        (Answer(body=b"[" * 40_000), "bad_json"),
        (Answer(body=b'{"data": {"items": ["\xff\xfe"]}}'), "bad_json"),
        (Answer(body=b'{"data": {"items": "none"}}'), "schema_drift"),
        (Answer(body=b'{"data": {"items": [1, 2]}}'), "schema_drift"),
        (Answer(body=b'{"results": []}'), "schema_drift"),
        (Answer(body=b'{"data": {"items": []}, "paging": {"next": 5}}'), "schema_drift"),
        (Answer(body=b" " * 60_000 + b"[]"), "too_large"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_an_answer_that_is_not_what_was_declared_is_refused_by_its_kind(feed, conn, ask, answer, code):
    feed.on("/listings", answer)
    refused(ask, conn, code)


def test_a_renamed_field_is_drift_and_not_a_column_of_nulls(feed, conn, ask):
    renamed = [{**car(at), "price": car(at)["ask"]} for at in range(3)]
    for item in renamed:
        del item["ask"]
    feed.on("/listings", items(*renamed))
    error = refused(ask, conn, "schema_drift")
    assert error.facts["fields"] == ["ask"]
    assert "price" in error.message


def test_a_field_that_changed_its_meaning_is_drift_when_no_row_can_be_used(feed, conn, ask):
    feed.on("/listings", items(*[car(at, ask={"amount": 9_000}) for at in range(3)]))
    assert "unreadable_number" in refused(ask, conn, "schema_drift").message


def test_single_bad_items_are_put_aside_and_the_rest_is_stored(feed, conn, ask):
    feed.on("/listings", items(car(1), car(2, ask="on request"), car(3, vehicle={"year": 1066})))
    result = ask()
    assert (result.kept, result.quarantined) == (1, {"unreadable_number": 1, "year_out_of_range": 1})
    raw = conn.execute("SELECT raw ->> 'ask' FROM market_quarantine ORDER BY row_number").fetchall()
    assert raw == [("on request",), ("9003.5",)]


@pytest.mark.parametrize("target", ["http://127.0.0.2:{port}/x", "http://localhost:{port}/x", "https://127.0.0.1:{port}/x",
                                    "http://169.254.169.254/latest", "//10.0.0.1/x", "file:///etc/passwd"])  # fmt: skip
@pytest.mark.parametrize("way", ["redirect", "next"])
def test_neither_redirects_nor_links_lead_to_another_host(feed, conn, ask, target, way):
    address = target.format(port=httpx.URL(feed.url).port)
    if way == "redirect":
        feed.on("/listings", Answer(status=302, headers={"Location": address}))
    else:
        feed.on("/listings", items(car(1), link=address))
    refused(ask, conn, "foreign_address")
    assert feed.paths() == ["/listings"]


def test_a_link_that_is_no_address_is_refused_as_one(feed, conn, ask):
    feed.on("/listings", items(car(1), link="http://[::1"))
    refused(ask, conn, "foreign_address")


def test_a_redirect_on_the_same_host_is_followed_and_a_circle_is_not(feed, conn, ask):
    feed.on("/listings", Answer(status=301, headers={"Location": "/v2/listings"}))
    feed.on("/v2/listings", Answer(status=302, headers={"Location": "/listings"}))
    refused(ask, conn, "too_many_redirects")
    feed.on("/v2/listings", items(car(1)))
    assert ask().kept == 1


def test_pages_that_never_end_are_cut_off(feed, conn, ask):
    feed.on("/listings", items(car(1), link="/listings"))
    refused(ask, conn, "endless_pages")
    feed.on("/listings", items(car(1), link="/p1"))
    for page in range(1, 9):
        feed.on(f"/p{page}", items(car(page + 1), link=f"/p{page + 1}"))
    refused(ask, conn, "endless_pages")
    assert "/p6" not in feed.paths()


def test_the_token_is_sent_from_the_environment_and_its_absence_named(feed, ask, declare, monkeypatch):
    path = declare('[auth]\nenv = "ACME_TEST_TOKEN"')
    feed.on("/listings", items(car(1)))
    monkeypatch.delenv("ACME_TEST_TOKEN", raising=False)
    with pytest.raises(Misconfigured, match="ACME_TEST_TOKEN"):
        ask(path)
    assert feed.asked == []
    monkeypatch.setenv("ACME_TEST_TOKEN", "s3cret")
    assert ask(path).kept == 1
    assert feed.asked[0].headers["authorization"] == "Bearer s3cret"


def test_nobody_listening_is_told_as_unreachable(conn, ask, declare, feed):
    path = declare(**{feed.url: "http://127.0.0.1:1"})
    refused(ask, conn, "unreachable", path)


@pytest.mark.parametrize(
    ("replaced", "word"),
    [
        ({"http://": "ftp://"}, "url"),
        ({"burst = 100": "burst = 0"}, "burst"),
        ({"burst = 100": "bursts = 1"}, "limits"),
        ({'optional = ["vehicle.trim"]': 'optional = ["vehicle.tirm"]'}, "tirm"),
        ({'channel = "retail"': 'channel = "bazaar"'}, "bazaar"),
    ],
)
def test_a_declaration_that_cannot_work_is_refused_before_anything_is_asked(declare, feed, replaced, word):
    with pytest.raises(Misconfigured, match=word):
        load_source(declare(**replaced))
    assert feed.asked == []


def test_one_failing_source_does_not_hold_up_the_others_and_rests_afterwards(feed, conn, declare):
    good, bad = declare(name="acme"), declare(name="broken", **{"/listings": "/broken"})
    feed.on("/listings", items(car(1)))
    feed.on("/broken", Answer(status=404))
    settings = Settings(market_sources=f"{bad}, absent.toml, {good}", _env_file=None)
    with httpx.Client(trust_env=False) as client:
        assert [result.source for result in pull_all(conn, settings, client=client)] == ["acme"]
        assert [result.outcome for result in pull_all(conn, settings, client=client)] == ["repeated"]
    assert feed.paths().count("/broken") == 1
    assert pull_all(conn, Settings(_env_file=None)) == []


def test_the_command_pulls_a_declared_source_and_tells_how_it_went(feed, conn, declare, market_url):
    feed.on("/listings", items(car(1), car(2)), Answer(status=404))
    environment = {key: value for key, value in os.environ.items() if not key.startswith("PLEDGEWATCH_")}
    command = [sys.executable, "-m", "pledgewatch", "market", "pull", str(declare()), "--json"]

    def run():
        return subprocess.run(
            command, capture_output=True, text=True, timeout=120, check=False,
            env={**environment, "PLEDGEWATCH_DATABASE_URL": market_url, "NO_PROXY": "127.0.0.1"},
        )  # fmt: skip

    done, failed = run(), run()
    assert (done.returncode, failed.returncode) == (0, 1), done.stderr + failed.stderr
    assert json.loads(done.stdout.splitlines()[-1])["kept"] == 2
    assert "404" in failed.stderr
    assert rows(conn).num_rows == 2


def test_the_feed_of_these_tests_serves_plain_json(feed):
    feed.on("/listings", items(car(1)))
    with httpx.Client(trust_env=False) as client:
        assert json.loads(client.get(f"{feed.url}/listings").content)["data"]["items"][0]["id"] == "a1"
