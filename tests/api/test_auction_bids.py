"""Bids over HTTP: each refusal by its code, one answer for a key, secrets kept, no stamp that waited."""

from __future__ import annotations

import json
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from typing import Any

import pytest

from api.app import create_app
from api.sale.rate import BURST, PER_S, BidRate
from api.server import Server
from core.clock import WallClock, monotonic
from core.db.pool import connect, open_pool
from core.errors import TooManyRequests
from tests.api.sale_scene import API, START, STEP, TICK, Sale, made, refused
from tests.fix_stack import eventually

pytestmark = pytest.mark.db


def test_every_refusal_of_a_bid_has_its_code_and_what_the_next_bid_needs(sale: Sale):
    sale.publish()
    sale.come(2)
    first, second = sale.people
    lot_id = sale.lot_id
    refused(first.bid(lot_id, START), 409, "not_started")
    sale.open()

    body = {"max_minor": START}
    refused(first.client.post(f"{API}/lots/{lot_id}/bids", json=body), 400, "idempotency_key_required")
    path = f"{API}/lots/{lot_id}/bids"
    assert sale.stranger.post(path, json=body, headers={"Idempotency-Key": "k"}).status_code == 401
    assert sale.staff.post(path, json=body, headers={"Idempotency-Key": "k"}).status_code == 403
    both = body | {"max": {"amount_minor": START, "currency": "CNY"}}
    for wrong in (
        {},
        both,
        body | {"mode": "sealed"},
        body | {"confirm_high": "yes"},
        body | {"max_minor": "1"},
    ):
        answer = first.client.post(path, json=wrong, headers={"Idempotency-Key": "k"})
        refused(answer, 422, "invalid_request")
    refused(
        first.bid(lot_id, START, max={"amount_minor": START, "currency": "USD"}), 422, "currency_mismatch"
    )

    low = refused(first.bid(lot_id, START - TICK), 409, "bid_too_low")
    assert (low["min_next_minor"], low["lot_seq"]) == (START, sale.lot()["seq"])
    assert abs(datetime.fromisoformat(low["server_time"]) - datetime.fromisoformat(sale.lot()["server_time"])) < timedelta(seconds=10)  # fmt: skip
    refused(first.bid(lot_id, START + 1), 422, "off_grid")
    high = 30_000_000
    refused(first.bid(lot_id, high), 422, "confirm_high_required")
    lead = made(first.bid(lot_id, START + 5 * STEP))
    assert (lead["status"], lead["price"]["amount_minor"]) == ("leading", START)
    assert lead["own_max"] == {"amount_minor": START + 5 * STEP, "currency": "CNY"}
    refused(first.bid(lot_id, START + 5 * STEP), 409, "self_raise_too_low")
    refused(second.bid(lot_id, START + STEP, expected_price_minor=START + STEP), 412, "price_changed")
    outbid = made(second.bid(lot_id, START + STEP))
    assert (outbid["status"], outbid["price"]["amount_minor"]) == ("outbid", START + 2 * STEP)
    assert made(second.bid(lot_id, high, confirm_high=True))["status"] == "leading"
    mine = second.client.get(f"{API}/me/bids").json()["items"]
    assert [bid["own_max"]["amount_minor"] for bid in mine] == [high, START + STEP]
    assert [bid["leading"] for bid in mine] == [True, True]

    stranger = sale.served.as_("bidder")
    refused(stranger.post(path, json=body, headers={"Idempotency-Key": "k"}), 403, "not_eligible")
    third = stranger.post(f"{API}/lots/{lot_id}/registrations", json={"terms_version": "old"})
    refused(third, 422, "terms_version")
    again = first.client.post(
        f"{API}/lots/{lot_id}/registrations", json={"terms_version": sale.lot()["terms_version"]}
    )
    refused(again, 409, "already_registered")
    poor = made(
        stranger.post(
            f"{API}/lots/{lot_id}/registrations", json={"terms_version": sale.lot()["terms_version"]}
        )
    )
    refused(stranger.post(f"{API}/registrations/{poor['id']}/deposit-holds"), 402, "insufficient_funds")
    nowhere = "00000000-0000-4000-8000-000000000000"
    refused(first.client.post(f"{API}/lots/{nowhere}/bids", json=body, headers={"Idempotency-Key": "k"}), 404, "lot_not_found")  # fmt: skip
    refused(sale.stranger.get(f"{API}/lots/{lot_id}/protocol"), 409, "not_closed")

    sale.shift("starts_at = clock_timestamp() - interval '1 h', planned_end_at = clock_timestamp() - interval '99 ms',"
               " ends_at = clock_timestamp() - interval '9 ms', drain_ms = 60000")  # fmt: skip
    refused(first.bid(lot_id, START + 9 * STEP), 409, "lot_closing")
    sale.shift("planned_end_at = clock_timestamp() - interval '59 s', ends_at = clock_timestamp() - interval '58 s',"
               " drain_ms = 3000")  # fmt: skip
    refused(first.bid(lot_id, START + 9 * STEP), 409, "lot_closed")


def test_a_key_is_answered_once_and_the_same_for_ever(sale: Sale):
    sale.publish()
    sale.come(2)
    sale.open()
    first, second = sale.people
    won = first.bid(sale.lot_id, START + STEP, key="a")
    lost = second.bid(sale.lot_id, START - TICK, key="b")
    made(second.bid(sale.lot_id, START + 3 * STEP, key="c"))
    for person, amount, before in ((first, START + STEP, won), (second, START - TICK, lost)):
        again = person.bid(sale.lot_id, amount, key="a" if before is won else "b")
        assert (again.status_code, again.content) == (before.status_code, before.content)
        assert again.headers["Idempotent-Replay"] == "true"
        assert again.headers["content-type"] == before.headers["content-type"]
    refused(first.bid(sale.lot_id, START + 2 * STEP, key="a"), 422, "key_reuse_mismatch")
    assert sale.lot()["bid_count"] == 2
    assert made(second.bid(sale.lot_id, START + 4 * STEP, key="a")), "a key belongs to one bidder"

    # Three times at once, on two of the three the twin is waiting or being answered: one effect.
    with ThreadPoolExecutor(3) as pool:
        same = list(pool.map(lambda _: first.bid(sale.lot_id, START + 9 * STEP, key="d"), range(3)))
    assert {answer.status_code for answer in same} <= {201, 409}
    assert {answer.content for answer in same if answer.status_code == 201} == {
        first.bid(sale.lot_id, START + 9 * STEP, key="d").content
    }
    assert sale.lot()["bid_count"] == 4

    # Not eligible is nothing that the rules decided: the same key may come again once the bidder is.
    refused(sale.served.as_("bidder").post(
        f"{API}/lots/{sale.lot_id}/bids", json={"max_minor": START}, headers={"Idempotency-Key": "e"}
    ), 403, "not_eligible")  # fmt: skip
    with sale.served.town.connect() as conn:
        kept = conn.execute("SELECT count(*) FROM idempotency_key WHERE key = 'e'").fetchone()
    assert kept == (0,)

    # A twin that is being decided: its transaction holds the key, ours is told to come back.
    with connect(sale.served.town.database_url, name="twin") as twin:
        actor = first.client.get(f"{API}/me").json()["actor"]
        twin.execute(
            "INSERT INTO idempotency_key (actor, key, operation, fingerprint) VALUES (%s, 'f', 'place_bid', '')", (actor,)
        )  # fmt: skip
        answer = first.bid(sale.lot_id, START + 12 * STEP, key="f")
        refused(answer, 409, "request_in_progress")
        assert answer.headers["Retry-After"] == "1"
        twin.rollback()
    made(first.bid(sale.lot_id, START + 12 * STEP, key="f"))


def test_no_public_answer_knows_a_maximum_or_a_name(sale: Sale):
    sale.publish()
    sale.come(2)
    sale.open()
    secrets = [START + 7 * STEP + 30_000, START + 9 * STEP + 70_000]
    for person, amount in zip(sale.people, secrets, strict=True):
        made(person.bid(sale.lot_id, amount))
    # The lower maximum is exhausted: it made the price. The leader's is not.
    leader = secrets[1]
    with sale.served.town.connect() as conn:
        actors = [row[0] for row in conn.execute("SELECT actor FROM bidder").fetchall()]
    hidden = {str(leader), *actors, *(person.name for person in sale.people)}
    own = {sale.people[0].name, sale.people[0].client.get(f"{API}/me").json()["actor"]}
    lot = f"{API}/lots/{sale.lot_id}"
    paths = [f"{API}/lots", lot, f"{lot}/bids", f"{lot}/events", f"/lots/{sale.lot_id}", "/lots"]
    for client in (sale.stranger, sale.people[0].client, sale.staff):
        for path in paths:
            answer = client.get(path)
            assert answer.status_code == 200, path
            told = {secret for secret in hidden if secret in answer.text}
            # A page greets whoever reads it, and shows them their own bid.
            assert told <= (own if client is sale.people[0].client and path.startswith("/lots") else set()), (
                path
            )
            assert "own_max" not in answer.text or path.startswith("/lots"), path
    listed = sale.staff.get(f"{lot}/registrations").json()["items"]
    assert {row["code"] for row in listed} == {person.code for person in sale.people}
    assert all(row["display_name"] is None and row["bidder_id"] is None for row in listed)
    for text in (json.dumps(listed), sale.staff.get(f"{API}/bidders").text, sale.staff.get(f"/console/cases/{sale.case_id}").text):  # fmt: skip
        assert str(leader) not in text
    assert all(person.code not in sale.staff.get(f"{API}/bidders").text for person in sale.people)
    spied = sale.people[0].client.get(f"{API}/registrations/{sale.people[1].registration['id']}")
    assert spied.status_code == 404
    refusal = refused(sale.people[0].bid(sale.lot_id, START), 409, "bid_too_low")
    assert str(leader) not in json.dumps(refusal)
    history = sale.stranger.get(f"{lot}/bids").json()["items"]
    assert [line["code"] for line in history] == [person.code for person in sale.people]
    assert set(history[0]) == {"seq", "code", "price", "arrived_at", "auto", "extended"}
    assert (
        sale.stranger.get(f"{lot}/bids", params={"after_seq": history[0]["seq"]}).json()["items"]
        == history[1:]
    )
    sale.end()
    named = sale.staff.get(f"{lot}/registrations").json()["items"]
    assert {row["display_name"] for row in named} == {person.name for person in sale.people}


def test_a_bid_that_waited_for_a_connection_is_stamped_when_it_arrived(sale: Sale):
    sale.publish()
    sale.come(1)
    sale.open()
    person, crowd = sale.people[0], 40
    sale.shift("drain_ms = 20000")
    with open_pool(sale.served.town.database_url, name="narrow", max_size=2) as pool:
        app = create_app(sale.served.town.settings, pool, WallClock())
        app.state.services.bid_rate = BidRate(lambda: monotonic() * 1000)
        server = Server(app, host="127.0.0.1", port=0)
        thread = threading.Thread(target=server.run, daemon=True)
        thread.start()
        eventually(lambda: server.started, what="the server listens")
        url = f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
        try:
            with (
                connect(sale.served.town.database_url, name="jam") as jam,
                ThreadPoolExecutor(crowd) as threads,
            ):
                # Whoever holds the lot's row holds the pool's only connection for bids, and all the others wait.
                jam.execute("SELECT FROM lot WHERE lot_id = %s FOR UPDATE", (sale.lot_id,))
                sent = [
                    threads.submit(_bid_at, url, person, sale.lot_id, START + (n + 1) * STEP)
                    for n in range(crowd)
                ]
                eventually(lambda: app.state.services.connections.statistics().tasks_waiting >= crowd - 1)
                let_go = _now(jam)
                eventually(lambda: _now(jam) - let_go > timedelta(seconds=1))
                jam.rollback()
                answers = [future.result() for future in sent]
        finally:
            server.stop()
            thread.join(timeout=20)
    decided = [answer for answer in answers if "arrived_at" in answer]
    assert len(decided) == crowd
    for answer in decided:
        arrived = datetime.fromisoformat(answer["arrived_at"])
        assert arrived < let_go + timedelta(milliseconds=200), "the stamp waited in the queue"
        assert datetime.fromisoformat(answer["server_time"]) > let_go + timedelta(milliseconds=900)


def test_a_bid_that_waited_longer_than_the_drain_is_told_busy_and_keeps_its_key(sale: Sale):
    sale.publish()
    sale.come(1)
    sale.open()
    sale.shift("drain_ms = 100")
    person = sale.people[0]
    actor = person.client.get(f"{API}/me").json()["actor"]
    with connect(sale.served.town.database_url, name="twin") as twin, ThreadPoolExecutor(1) as threads:
        # The key is held for longer than the drain, and then given up: the bid comes to the lot too late.
        twin.execute(
            "INSERT INTO idempotency_key (actor, key, operation, fingerprint) VALUES (%s, 'late', 'place_bid', '')",
            (actor,),
        )
        sent = threads.submit(person.bid, sale.lot_id, START, key="late")
        eventually(lambda: _waits(sale))
        began = _now(twin)
        eventually(lambda: _now(twin) - began > timedelta(milliseconds=200))
        twin.rollback()
        refused(sent.result(), 503, "busy")
    sale.shift("drain_ms = 3000")
    made(person.bid(sale.lot_id, START, key="late"))


def test_the_bucket_of_one_bidder_is_not_emptied_by_another():
    time = [0.0]
    rate = BidRate(lambda: time[0])
    for _ in range(BURST):
        rate.take(("a", 1))
    with pytest.raises(TooManyRequests) as told:
        rate.take(("a", 1))
    assert told.value.facts["retry_after_s"] == 1
    for other in range(200):
        rate.take((other, 1))
    rate.take(("a", 2))
    time[0] += 1
    for _ in range(PER_S):
        rate.take(("a", 1))
    with pytest.raises(TooManyRequests):
        rate.take(("a", 1))


def _bid_at(url: str, person: Any, lot_id: str, amount_minor: int) -> dict[str, Any]:
    import httpx

    answer = httpx.post(
        f"{url}{API}/lots/{lot_id}/bids", json={"max_minor": amount_minor}, timeout=30,
        headers={"Authorization": person.client.headers["Authorization"], "Idempotency-Key": str(amount_minor)},
    )  # fmt: skip
    found: dict[str, Any] = answer.json()
    return found


def _now(conn: Any) -> datetime:
    row = conn.execute("SELECT clock_timestamp()").fetchone()
    return row[0]


def _waits(sale: Sale) -> bool:
    with sale.served.town.connect() as conn:
        row = conn.execute(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
        ).fetchone()
    return row is not None and row[0] > 0
