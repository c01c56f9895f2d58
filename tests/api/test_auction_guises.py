"""One person who comes as a session, as a token and as another token; a bidder who joins the seller."""

from __future__ import annotations

import httpx
import pytest

from collateral.staff.access import create_token, open_session
from collateral.staff.people import create_user
from collateral.staff.store import user_and_hash
from tests.api.sale_scene import API, START, STEP, Sale, made, refused
from tests.fix_api import Served

pytestmark = pytest.mark.db
PASSWORD = "correct horse battery"


def token_of(served: Served, role: str, name: str) -> httpx.Client:
    with served.town.connect() as conn:
        token = create_token(conn, role, name=name)
    return kept(served, {"Authorization": f"Bearer {token}"})


def session_of(served: Served, login: str, roles: list[str]) -> httpx.Client:
    """A signed-in person whose page sends its token along."""
    from api.auth import csrf_token
    from collateral.staff.access import principal_of_session

    with served.town.connect() as conn:
        create_user(conn, login, PASSWORD, roles)
        found = user_and_hash(conn, login)
        assert found is not None
        cookie = open_session(conn, found[0])
        principal = principal_of_session(conn, cookie)
        assert principal is not None
    return kept(
        served,
        {
            "Cookie": f"pw_session={cookie}",
            "X-CSRF-Token": csrf_token(principal.csrf_secret or "", cookie),
            "Origin": served.base_url,
        },
    )


def kept(served: Served, headers: dict[str, str]) -> httpx.Client:
    client = httpx.Client(base_url=served.base_url, headers=headers, timeout=20)
    served.clients[f"guise-{len(served.clients)}"] = client
    return client


def test_a_second_token_or_a_session_is_not_a_second_person(sale: Sale):
    sale.publish()
    asker = token_of(sale.served, "disposal", "anna")
    question = sale.move(asker, "withdraw", reason="x").json()["approval"]["id"]
    guises = (
        token_of(sale.served, "admin", "anna"),
        token_of(sale.served, "disposal", " ANNA"),
        session_of(sale.served, "anna", ["disposal"]),
    )
    path = f"{API}/approvals/{question}/decision"
    for guise in guises:
        refused(guise.post(path, json={"approve": True}), 403, "same_person")
    assert sale.lot()["state"] == "published"
    bert = session_of(sale.served, "bert", ["disposal"])
    assert bert.post(path, json={"approve": True}).json()["decision"] == "approved"
    assert sale.lot()["state"] == "withdrawn"


def test_whoever_drafted_does_not_publish_with_another_token(sale: Sale):
    sale.open_case()
    sale.prepare()
    anna = token_of(sale.served, "disposal", "anna")
    drafted = anna.post(f"{API}/disposal-cases/{sale.case_id}/rounds", json=sale.terms())
    sale.lot_id = made(drafted)["id"]
    assert sale.move(sale.staff, "submit").status_code == 200
    refused(sale.move(session_of(sale.served, "anna", ["admin"]), "publish"), 403, "same_person")
    assert sale.move(sale.other, "publish").status_code == 200


def test_a_bidder_who_joined_the_seller_bids_no_more(sale: Sale):
    sale.publish()
    zoe = session_of(sale.served, "zoe", ["bidder"])
    registration = made(
        zoe.post(
            f"{API}/lots/{sale.lot_id}/registrations", json={"terms_version": sale.lot()["terms_version"]}
        )
    )
    number = registration["bidder_id"]
    checked = sale.staff.post(f"{API}/bidders/{number}/verification", json={"reference": "K-1"})
    assert checked.status_code == 200
    credit = {"amount": {"amount_minor": 5_000_000, "currency": "CNY"}, "reference": "in-zoe"}
    made(sale.staff.post(f"{API}/bidders/{number}/wallet-credits", json=credit))
    made(zoe.post(f"{API}/registrations/{registration['id']}/deposit-holds"))
    sale.open()
    with sale.served.town.connect() as conn:
        conn.execute("UPDATE user_account SET roles = '{bidder,disposal}' WHERE login = 'zoe'")
    answer = zoe.post(
        f"{API}/lots/{sale.lot_id}/bids",
        json={"max_minor": START + STEP},
        headers={"Idempotency-Key": "as-staff"},
    )
    refused(answer, 403, "excluded_party")
    assert sale.lot()["bid_count"] == 0


def test_staff_do_not_bid_by_a_bidders_token_of_their_own_name(sale: Sale):
    sale.publish()
    session_of(sale.served, "carl", ["recovery"])
    answer = token_of(sale.served, "bidder", "Carl").post(
        f"{API}/lots/{sale.lot_id}/registrations", json={"terms_version": sale.lot()["terms_version"]}
    )
    refused(answer, 403, "excluded_party")


def test_times_at_the_ends_of_the_calendar_reach_no_sale_and_no_books(sale: Sale):
    sale.open_case()
    sale.prepare()
    for changes in (
        {"ends_at": "9999-12-31T23:59:59Z"},
        {"ends_at": "9999-12-31T23:59:59-14:00"},
        {"starts_at": "0001-01-01T00:00:00Z"},
        {"starts_at": "0001-01-01T00:00:00+14:00"},
    ):
        answer = sale.staff.post(f"{API}/disposal-cases/{sale.case_id}/rounds", json=sale.terms(**changes))
        refused(answer, 400, "bad_time")
    far = sale.staff.post(
        f"{API}/disposal-cases/{sale.case_id}/rounds", json=sale.terms(ends_at="2999-01-01T00:00:00Z")
    )
    refused(far, 400, "duration_too_long")
    claim = {
        "received_minor": 1, "principal_minor": 1, "interest_minor": 1, "accrues_from": "0001-01-01",
        "currency": "CNY", "reference": "s",
    }  # fmt: skip
    answer = sale.staff.put(f"{API}/disposal-cases/{sale.case_id}/lender-claim", json=claim)
    refused(answer, 400, "accrues_too_early")


def test_a_payment_from_before_the_sale_is_a_mistake(sale: Sale):
    settlement = sale.sell()
    for moment in ("0001-01-01T00:00:00+14:00", "1970-01-01T00:00:00Z"):
        body = {"reference": "old", "amount": settlement["open"], "received_at": moment}
        answer = sale.staff.post(f"{API}/settlements/{settlement['id']}/payments", json=body)
        refused(answer, 400, "bad_received_at")
    assert sale.settlement()["payments"] == []
