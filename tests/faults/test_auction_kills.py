"""Two people bid against each other while the API and the sweeper are killed: nothing acknowledged is lost."""

import asyncio
import contextlib
import threading
from datetime import timedelta

import httpx
import pytest

from auction.ledger.check import check_books
from auction.log.store import events_after
from auction.protocol.signing import protocol_key
from auction.protocol.verify import verify
from core.clock import monotonic
from core.settings import Settings
from simulator.bidders.client import BidderClient, read_view
from simulator.bidders.domain import Wish
from tests.faults.sale_rig import SaleRig
from tests.fix_stack import eventually

pytestmark = [pytest.mark.slow, pytest.mark.serial]

LASTS = timedelta(seconds=16)
WINDOW_MS = 12_000
"""Longer than the processes need to come back, or the lot would end while nobody can bid."""
KILL_AFTER_BIDS = (6, 14)
UP_WITHIN_S = 5.0
"""The hammer falls so soon after the drain, or after the sweeper is back."""


@pytest.fixture
def sale(database_url, tmp_path):
    rig = SaleRig(database_url, tmp_path)
    yield rig
    rig.close()


class Duel:
    """Two bidders over HTTP; each answers the other's price with the next one until told to stop."""

    def __init__(self, url, lot, guests, codes):
        self.url, self.lot, self.guests, self.codes = url, lot, guests, codes
        self.outcomes, self.error = [], None
        self.over = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self.over.set()
        self._thread.join()
        if self.error is not None:
            raise self.error

    def _run(self):
        try:
            asyncio.run(self._both())
        except BaseException as exc:
            self.error = exc

    async def _both(self):
        async with httpx.AsyncClient(base_url=self.url, trust_env=False) as http:
            await asyncio.gather(
                *(self._one(http, guest, seed) for seed, guest in enumerate(self.guests, start=1))
            )

    async def _one(self, http, guest, seed):
        client, view = BidderClient(http, guest.name, guest.token, seed=seed), None
        while not self.over.is_set():
            # When the page does not answer, bid on what was seen last: that call meets a dead server.
            with contextlib.suppress(httpx.TransportError, ValueError, KeyError):
                view = read_view((await http.get(f"/api/v1/lots/{self.lot.lot_id}", timeout=2)).json())
            if view is not None and view.min_next_minor and view.leader_code != self.codes[guest.name]:
                outcome = await client.bid(str(self.lot.lot_id), Wish(view.min_next_minor, "exact"), "CNY")
                self.outcomes.append(outcome)
            await asyncio.sleep(0.15)

    @property
    def acknowledged(self):
        return [outcome for outcome in self.outcomes if outcome.acknowledged]


def await_bids(duel, count):
    eventually(lambda: len(duel.acknowledged) >= count, within_s=30, what=f"{count} bids")


def kill_and_restart(rig):
    """SIGKILL both, a moment of nobody, both again."""
    rig.children["api"].kill()
    rig.children["auction"].kill()
    threading.Event().wait(0.4)
    rig.start_api()
    rig.start_sweeper()


def test_three_kills_of_api_and_worker_lose_nothing_and_the_hammer_falls_once(sale):
    sale.start_sweeper()
    url = sale.start_api()
    guests = sale.invite(2)
    lot = sale.stage(guests, lasts=LASTS, window_ms=WINDOW_MS, extension_ms=WINDOW_MS, drain_ms=1_000)
    eventually(lambda: sale.lot(lot.lot_id).state == "open", within_s=20, what="the lot opens")
    with Duel(url, lot, guests, sale.codes) as duel:
        for bids in KILL_AFTER_BIDS:
            await_bids(duel, bids)
            kill_and_restart(sale)
        await_bids(duel, KILL_AFTER_BIDS[-1] + 4)
    # The third time nobody is there when the drain ends: the hammer waits for the worker, not for luck.
    last = sale.lot(lot.lot_id)
    assert last.state == "open"
    sale.children["api"].kill()
    sale.children["auction"].kill()
    due_s = sale.seconds_until(last.ends_at + timedelta(milliseconds=last.drain_ms))
    threading.Event().wait(max(0.0, due_s - monotonic()) + 0.5)
    assert sale.lot(lot.lot_id).state == "open"
    [(up_at,)] = sale.ask("SELECT clock_timestamp()")
    sale.start_sweeper()
    ended = eventually(
        lambda: found if (found := sale.lot(lot.lot_id)).state == "hammered" else None,
        within_s=20, what="the hammer",
    )  # fmt: skip
    sale.start_api()

    assert ended.hammered_at >= ended.ends_at + timedelta(milliseconds=ended.drain_ms)
    assert ended.hammered_at <= max(
        up_at, ended.ends_at + timedelta(milliseconds=ended.drain_ms)
    ) + timedelta(seconds=UP_WITHIN_S)
    assert sale.ask("SELECT count(*) FROM lot_event WHERE kind IN ('lot.hammered', 'lot.unsold')") == [(1,)]
    assert sale.ask("SELECT count(*) FROM settlement") == [(1,)]
    check_nothing_lost(sale, lot, duel, url, guests)
    check_protocol(sale, lot, url)
    with sale.connect() as conn:
        books = check_books(conn)
    assert books.ok, books


def check_nothing_lost(rig, lot, duel, url, guests):
    """Every 201 is in the log and comes again, byte for byte; and nobody bid without knowing it."""
    acknowledged = duel.acknowledged
    assert len(acknowledged) >= KILL_AFTER_BIDS[-1]
    assert any(outcome.attempts > 1 for outcome in duel.outcomes), "some bid met a killed server"
    with rig.connect() as conn:
        events = {event.seq: event for event in events_after(conn, lot.lot_id, limit=10_000)}
    stored = {str(bid_id): seq for bid_id, seq in rig.ask("SELECT bid_id, seq FROM bid")}
    tokens = {guest.name: guest.token for guest in guests}
    told = {}
    with httpx.Client(base_url=url, trust_env=False) as http:
        for outcome in acknowledged:
            said = httpx.Response(201, content=outcome.body).json()
            told[said["bid_id"]] = said["seq"]
            assert events[said["seq"]].payload["price_minor"] == said["price"]["amount_minor"]
            body = {"max": {"amount_minor": outcome.wish.max_minor, "currency": "CNY"}, "mode": "exact"}
            headers = {"Authorization": f"Bearer {tokens[outcome.bidder]}", "Idempotency-Key": outcome.key}

            def once_more(body=body, headers=headers):
                answer = http.post(f"/api/v1/lots/{lot.lot_id}/bids", json=body, headers=headers)
                return None if answer.status_code == 429 else answer

            again = eventually(once_more, within_s=20, what="the rate limit lets a replay through")
            assert (again.status_code, again.content) == (201, outcome.body)
    assert told == stored


def check_protocol(rig, lot, url):
    """The protocol that anybody may fetch holds, with the public key and nothing else."""
    content = (
        httpx.get(f"{url}/api/v1/lots/{lot.lot_id}/protocol", trust_env=False).raise_for_status().content
    )
    key = protocol_key(Settings(data_dir=rig.folder, _env_file=None)).public_key()
    verdict = verify(content, key)
    assert verdict.problems == ()
    assert verdict.state == "hammered"
