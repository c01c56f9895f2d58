"""The whole way over HTTP, from the yard to the closed case, and who may do what on it."""

from __future__ import annotations

import pytest

from tests.api.sale_scene import API, START, STEP, Sale, made, refused

pytestmark = pytest.mark.db


def test_a_vehicle_goes_from_the_yard_to_its_new_owner(sale: Sale):
    settlement = sale.sell()
    assert settlement["price"]["amount_minor"] == START + 2 * STEP
    assert settlement["buyer_name"] == "竞买人1"
    case = sale.staff.get(f"{API}/disposal-cases/{sale.case_id}").json()
    assert (case["state"], case["settlement_ids"]) == ("sold", [settlement["id"]])
    code = sale.pay()
    sale.transfer()
    assert sale.lot()["state"] == "transferred"
    path = f"{API}/settlements/{settlement['id']}"
    refused(sale.staff.post(f"{path}/close"), 409, "not_handed_over")
    wrong = {"release_code": "AAAA-BBBB-CCCC", "odometer_km": 84_000}
    refused(sale.staff.post(f"{path}/handover", json=wrong), 403, "bad_release_code")
    done = sale.staff.post(f"{path}/handover", json=wrong | {"release_code": code})
    assert (done.status_code, done.json()["odometer_km"]) == (200, 84_000)
    preview = sale.staff.get(f"{path}/waterfall").json()
    assert sum(leg["gets"]["amount_minor"] for leg in preview["legs"]) == START + 2 * STEP
    closed = sale.staff.post(f"{path}/close").json()
    assert closed["state"] == "closed"
    booked = sale.staff.get(f"{path}/waterfall").json()
    assert booked["booked"]
    assert booked["legs"] == preview["legs"]
    assert sale.staff.get(f"{API}/disposal-cases/{sale.case_id}").json()["state"] == "closed"
    protocol = sale.stranger.get(f"{API}/lots/{sale.lot_id}/protocol")
    assert protocol.status_code == 200
    assert protocol.json()["view"] == "public"
    full = sale.served.as_("auditor").get(f"{API}/lots/{sale.lot_id}/protocol", params={"full": True})
    assert full.json()["view"] == "full"
    asked = sale.people[0].client.get(f"{API}/lots/{sale.lot_id}/protocol", params={"full": True})
    assert asked.json()["view"] == "public", "only auditors of the branch get the full one"


def test_the_release_code_is_told_once_and_kept_nowhere(sale: Sale):
    settlement = sale.sell()
    code = sale.pay()
    again = {"reference": "bank-1", "amount": settlement["open"]}
    path = f"{API}/settlements/{settlement['id']}"
    assert made(sale.staff.post(f"{path}/payments", json=again))["release_code"] is None
    with sale.served.town.connect() as conn:
        kept = conn.execute("SELECT string_agg(response::text, ' ') FROM idempotency_key").fetchone()
    assert code not in str(kept)
    fresh = made(sale.staff.post(f"{path}/release-code"))["release_code"]
    assert fresh != code


def test_the_buyer_sees_the_own_settlement_and_nobody_elses(sale: Sale):
    settlement = sale.sell()
    path = f"{API}/settlements/{settlement['id']}"
    assert sale.people[1].client.get(path).json()["buyer_code"] == sale.people[1].code
    assert sale.people[0].client.get(path).status_code == 404
    assert sale.people[0].client.get(f"{API}/settlements").status_code == 403
    assert sale.served.as_("west").get(path).status_code == 403


def test_another_branch_finds_neither_case_nor_draft_nor_settlement(sale: Sale):
    from collateral.staff.access import create_token

    with sale.served.town.connect() as conn:
        sale.served.town.tokens["west-desk"] = create_token(conn, "disposal", org_id="west")
        sale.served.town.tokens["east-desk"] = create_token(conn, "disposal", org_id="east")
    sale.open_case()
    sale.prepare()
    sale.draft()
    west, east = sale.served.as_("west-desk"), sale.served.as_("east-desk")
    for path in (
        f"/disposal-cases/{sale.case_id}",
        f"/lots/{sale.lot_id}",
        f"/lots/{sale.lot_id}/registrations",
    ):
        assert west.get(API + path).status_code == 404, path
        assert east.get(API + path).status_code == 200, path
    assert west.get(f"{API}/lots").json()["items"] == []
    assert [lot["state"] for lot in east.get(f"{API}/lots").json()["items"]] == ["draft"]
    assert west.get(f"{API}/disposal-cases").json()["items"] == []
    refused(west.post(f"{API}/disposal-cases", json={"vehicle_id": "V1"}), 404, "not_found")
    assert sale.move(west, "submit").status_code == 404
    assert sale.stranger.get(f"{API}/lots/{sale.lot_id}").status_code == 404
    assert sale.stranger.get(f"{API}/lots").json()["items"] == []


def test_a_case_says_what_is_missing_before_a_sale(sale: Sale):
    sale.open_case()
    refused(sale.staff.post(f"{API}/disposal-cases", json={"vehicle_id": "V1"}), 409, "case_exists")
    rounds = f"{API}/disposal-cases/{sale.case_id}/rounds"
    refused(sale.staff.post(rounds, json=sale.terms()), 409, "appraisal_missing")
    path = f"{API}/disposal-cases/{sale.case_id}/appraisal"
    stale = {
        "value": {"amount_minor": 8_000_000, "currency": "CNY"},
        "appraiser": "x",
        "valued_on": "2020-01-01",
    }
    refused(sale.staff.put(path, json=stale), 422, "appraisal_stale")
    sale.prepare()
    refused(sale.staff.post(rounds, json=sale.terms(start_minor=10_000)), 422, "start_below_floor")
    refused(sale.staff.post(rounds, json=sale.terms(start_minor=START + 1)), 422, "off_grid")
    sale.draft()
    refused(sale.staff.post(rounds, json=sale.terms()), 409, "previous_round_open")


def test_money_is_whole_minor_units_wherever_somebody_sends_it(sale: Sale):
    sale.sell()
    settlement = sale.settlement()
    person = sale.people[0]
    case = f"{API}/disposal-cases/{sale.case_id}"
    for bad in (1.0, 1.5, "100", True, None, -5, 0, 10**16):
        amount = {"amount_minor": bad, "currency": "CNY"}
        for client, method, path, body in (
            (person.client, "POST", f"{API}/lots/{sale.lot_id}/bids", {"max": amount}),
            (person.client, "POST", f"{API}/lots/{sale.lot_id}/bids", {"max_minor": bad or 1.0}),
            (sale.staff, "POST", f"{API}/bidders/{person.bidder_id}/wallet-credits",
             {"amount": amount, "reference": "x"}),
            (sale.staff, "POST", f"{API}/settlements/{settlement['id']}/payments",
             {"amount": amount, "reference": "x"}),
            (sale.staff, "PUT", f"{case}/appraisal",
             {"value": amount, "appraiser": "x", "valued_on": "2026-01-01"}),
            (sale.staff, "POST", f"{case}/costs", {"kind": "towing", "amount": amount, "receipt": "x"}),
            (sale.staff, "POST", f"{case}/rounds", sale.terms(start_minor=bad)),
            (sale.staff, "PATCH", f"{API}/lots/{sale.lot_id}", {"start_minor": bad or 1.0}),
        ):  # fmt: skip
            answer = client.request(
                method, path, json=body, headers={"Idempotency-Key": "k", "If-Match": "*"}
            )
            refused(answer, 422, "invalid_request")
