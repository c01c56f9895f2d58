"""Bidders: seeded wishes inside their worth, and the same key until there is a clear answer."""

import csv
import json
import random
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.errors import Upstream
from simulator.bidders.client import BidderClient
from simulator.bidders.domain import LotView, Temper, Wish
from simulator.bidders.log import COLUMNS, write_outcomes
from simulator.bidders.strategy import decide, make_profiles
from tests.fix_stack import in_a_loop_of_its_own

START, TICK = 7_000_000, 10_000


def view(**changes):
    facts: dict[str, Any] = {
        "state": "open", "start_minor": START, "price_minor": None, "min_next_minor": START, "tick_minor": TICK,
        "currency": "CNY", "leader_code": None, "seq": 1, "left_ms": 60_000,
        "length_ms": 60_000,
    } | changes  # fmt: skip
    return LotView(**facts)


def test_the_same_seed_makes_the_same_bidders_and_the_first_reaches_the_start_price():
    first, again = make_profiles(7, 20, START, TICK), make_profiles(7, 20, START, TICK)
    assert first == again
    assert make_profiles(8, 20, START, TICK) != first
    assert first[0].worth_minor >= START
    assert {profile.temper for profile in first} == set(Temper)


@given(
    seed=st.integers(0, 10_000),
    steps=st.integers(0, 80),
    left_ms=st.integers(0, 60_000),
    placed=st.integers(0, 3),
)
def test_nobody_wants_less_than_the_next_price_more_than_the_worth_or_off_the_grid(
    seed, steps, left_ms, placed
):
    price = START + steps * 50_000
    page = view(price_minor=price, min_next_minor=price + 50_000, leader_code="A", left_ms=left_ms)
    for profile in make_profiles(seed, 8, START, TICK):
        wish = decide(profile, page, leading=False, placed=placed, rng=random.Random(seed))
        if wish is not None:
            assert page.min_next_minor <= wish.max_minor <= profile.worth_minor
            assert wish.max_minor % TICK == 0
        assert decide(profile, page, leading=True, placed=placed, rng=random.Random(seed)) is None


def test_a_late_bidder_waits_for_the_last_seconds():
    late = next(profile for profile in make_profiles(1, 8, START, TICK) if profile.temper is Temper.LATE)
    rng = random.Random(1)
    page = {"min_next_minor": late.worth_minor}
    assert decide(late, view(left_ms=late.late_ms + 1, **page), leading=False, placed=0, rng=rng) is None
    wish = decide(late, view(left_ms=late.late_ms, **page), leading=False, placed=0, rng=rng)
    assert wish == Wish(late.worth_minor, "proxy")


def test_a_bidder_comes_when_the_own_part_of_the_time_has_passed():
    someone = next(
        profile for profile in make_profiles(1, 9, START, TICK)[1:] if profile.temper is Temper.PROXY
    )
    wants = {"min_next_minor": min(START, someone.worth_minor), "length_ms": 100_000}
    early = view(left_ms=100_000 - someone.enters_permille * 100 + 200, **wants)
    assert decide(someone, early, leading=False, placed=0, rng=random.Random(1)) is None
    in_time = view(left_ms=100_000 - someone.enters_permille * 100, **wants)
    assert decide(someone, in_time, leading=False, placed=0, rng=random.Random(1)) is not None


class Flaky:
    """A server that cuts the line, is ill, is busy with a twin, and then answers."""

    def __init__(self, script):
        self.keys: list[str] = []
        self.script = list(script)
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                self.rfile.read(int(self.headers["Content-Length"]))
                outer.keys.append(self.headers["Idempotency-Key"])
                status, body = outer.script.pop(0)
                if status == 0:
                    self.connection.close()
                    return
                content = json.dumps(body).encode()
                self.send_response(status)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, *args):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"

    def __enter__(self):
        self.thread = threading.Thread(target=self.server.serve_forever, daemon=True)
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()


TAKEN = {"bid_id": "b", "seq": 3, "price": {"amount_minor": START, "currency": "CNY"}}


def place(url, wish=None):
    async def once():
        async with httpx.AsyncClient(base_url=url, trust_env=False) as http:
            return await BidderClient(http, "anna", "t", seed=3).bid(
                "lot-1", wish or Wish(START, "proxy"), "CNY"
            )

    return in_a_loop_of_its_own(once())


def test_a_bid_without_a_clear_answer_is_asked_again_with_the_same_key(tmp_path):
    script = [(0, None), (503, {"code": "busy"}), (409, {"code": "request_in_progress"}), (201, TAKEN)]
    with Flaky(script) as server:
        outcome = place(server.url)
    assert outcome.acknowledged
    assert outcome.attempts == 4
    assert set(server.keys) == {outcome.key}
    log = tmp_path / "bids.csv"
    assert write_outcomes(log, [outcome]) == 1
    with log.open(newline="") as file:
        [row] = csv.DictReader(file)
    assert tuple(row) == COLUMNS
    assert (row["key"], row["seq"], row["price_minor"], row["status"]) == (
        outcome.key,
        "3",
        str(START),
        "201",
    )


def test_a_clear_refusal_is_the_answer_and_is_not_repeated():
    with Flaky([(409, {"code": "bid_too_low"})]) as server:
        outcome = place(server.url)
    assert (outcome.status, outcome.code, outcome.attempts) == (409, "bid_too_low", 1)
    assert not outcome.acknowledged


def test_a_bidder_who_is_not_admitted_says_why():
    async def register(url):
        async with httpx.AsyncClient(base_url=url, trust_env=False) as http:
            return await BidderClient(http, "anna", "t").register("lot-1", "v1")

    with (
        Flaky([(403, {"code": "excluded_party"})]) as server,
        pytest.raises(Upstream, match="excluded_party"),
    ):
        in_a_loop_of_its_own(register(server.url))
