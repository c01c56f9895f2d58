"""Value over HTTP: estimates on demand, inspections, appraisers' figures, the portfolio, each for its branch."""

from __future__ import annotations

import contextlib
from datetime import timedelta
from typing import Any

import httpx
import pytest

from core.clock import wall_now
from tests.api.test_pages import signed_in
from tests.fix_api import Served
from tests.valuation.invented_market import KIND, invented_model, invented_sales
from valuation.model.store import save_model

pytestmark = pytest.mark.db

API = "/api/v1"


@pytest.fixture
def valued(served: Served) -> Served:
    """The town, whose vehicles are of an invented kind that has a market."""
    with served.town.connect() as conn:
        save_model(conn, invented_model())
        conn.execute("UPDATE vehicle SET make = %s, model = %s", (KIND.make, KIND.model))
        conn.execute("UPDATE latest_position SET odometer_km = 60000")
    return served


def value(served: Served, vehicle_id: str, who: str = "risk_analyst", **headers: str) -> httpx.Response:
    return served.as_(who).post(f"{API}/valuations", json={"vehicle_id": vehicle_id}, headers=headers)


def appraisal(**changes: Any) -> dict[str, Any]:
    return {
        "value": {"amount_minor": 5_000_000, "currency": "CNY"}, "appraiser": "王评估师",
        "appraised_on": (wall_now() - timedelta(days=1)).date().isoformat(), "reason": "现场查勘",
    } | changes  # fmt: skip


def inspection(**changes: Any) -> dict[str, Any]:
    return {
        "vehicle_id": "V1", "inspected_at": (wall_now() - timedelta(hours=1)).isoformat(), "inspector": "李工",
        "odometer_km": 60_000, "condition": 3.5,
    } | changes  # fmt: skip


def test_a_vehicle_is_valued_on_demand_with_everything_that_explains_it(valued: Served):
    assert valued.as_("risk_analyst").get(f"{API}/vehicles/V1/valuation").json()["code"] == "never_valued"
    made = value(valued, "V1")
    assert made.status_code == 201
    body = made.json()
    estimate = body["estimate"]["amount_minor"]
    assert body["low90"]["amount_minor"] < body["lending_value"]["amount_minor"] < estimate
    assert estimate < body["high90"]["amount_minor"]
    assert sum(step["amount"]["amount_minor"] for step in body["waterfall"]) == estimate
    assert len(body["comparables"]) == 8
    assert all(sale["weight"] > 0 and sale["adjusted"]["amount_minor"] > 0 for sale in body["comparables"])
    (loan,) = body["loans"]
    assert (loan["loan_id"], loan["owed"]["amount_minor"]) == ("L1", 8_000_000)
    assert loan["ltv"] == pytest.approx(8_000_000 / estimate)
    assert loan["raised"] == (loan["ltv"] >= body["raise_at"])
    assert valued.as_("disposal").get(f"{API}/vehicles/V1/valuation").json() == body
    listed = valued.as_("auditor").get(f"{API}/valuations", params={"vehicle_id": "V1"}).json()["items"]
    assert [item["id"] for item in listed] == [body["id"]]


def test_a_repeated_wish_with_its_key_values_once(valued: Served):
    first = value(valued, "V1", **{"Idempotency-Key": "k-1"})
    again = value(valued, "V1", **{"Idempotency-Key": "k-1"})
    assert again.headers["Idempotent-Replay"] == "true"
    assert again.json() == first.json()
    assert len(valued.as_("admin").get(f"{API}/valuations").json()["items"]) == 1


def test_a_flag_asks_a_person_and_the_persons_figure_is_what_ltv_uses(valued: Served):
    api = valued.as_("risk_analyst")
    flagged = api.post(f"{API}/inspections", json=inspection(flags=["flood"]))
    assert flagged.status_code == 201
    assert flagged.json()["manual_appraisal"]["state"] == "open"
    before = api.get(f"{API}/vehicles/V1/valuation").json()
    assert before["status"] == "needs_manual_appraisal"
    assert before["loans"][0]["basis"] == "lending_value"
    assert before["estimate"] is not None, "the model's figure is shown, and not used"
    done = api.post(f"{API}/vehicles/V1/manual-appraisals", json=appraisal())
    assert (done.status_code, done.json()["state"]) == (201, "closed")
    after = api.get(f"{API}/vehicles/V1/valuation").json()
    assert (after["status"], after["manual_appraisal"]["amount_minor"]) == ("valued", 5_000_000)
    (loan,) = after["loans"]
    assert (loan["basis"], loan["ltv"], loan["severity"]) == ("manual_appraisal", 1.6, "P2")
    listed = api.get(f"{API}/vehicles/V1/manual-appraisals").json()["items"]
    assert [(row["state"], row["asked_because"]) for row in listed] == [("closed", ["flood"])]


def test_an_odometer_that_went_down_is_said_and_lifts_no_value(valued: Served):
    api = valued.as_("risk_analyst")
    before = value(valued, "V1").json()
    told = api.post(
        f"{API}/inspections",
        json=inspection(inspected_at=wall_now().isoformat(), odometer_km=20_000, condition=None),
    ).json()
    assert told["suggested_flags"] == ["odometer_tampering"]
    after = api.get(f"{API}/vehicles/V1/valuation").json()
    assert after["estimate"] == before["estimate"]
    assert "odometer_tampering_suspected" in after["cautions"]
    assert [row["odometer_km"] for row in api.get(f"{API}/inspections").json()["items"]] == [20_000]


def test_an_amount_that_is_not_a_whole_number_is_refused(valued: Served):
    for amount in (5_000_000.0, 5e6 + 0.5, "5000000", True, 0, -1, None):
        body = appraisal(value={"amount_minor": amount, "currency": "CNY"})
        refused = valued.as_("admin").post(f"{API}/vehicles/V1/manual-appraisals", json=body)
        assert refused.status_code == 422, amount
    assert valued.as_("admin").get(f"{API}/vehicles/V1/manual-appraisals").json()["items"] == []


def test_what_cannot_be_read_is_refused_before_anything_is_written(valued: Served):
    for path, body in (
        ("inspections", inspection(odometer_km=-1)),
        ("inspections", inspection(condition=6)),
        ("inspections", inspection(flags=["rust"])),
        ("inspections", inspection(inspected_at="2026-11-20T10:00:00")),
        ("inspections", inspection(photos=["x"])),
        ("inspections", inspection(surprise=1)),
        ("valuations", {"vehicle_id": ""}),
        ("vehicles/V1/manual-appraisals", appraisal(value={"amount_minor": 1, "currency": "yuan"})),
        ("vehicles/V1/manual-appraisals", appraisal(reason="")),
    ):
        assert valued.as_("admin").post(f"{API}/{path}", json=body).status_code == 422, (path, body)
    tomorrow = inspection(inspected_at=(wall_now() + timedelta(days=1)).isoformat())
    refused = valued.as_("admin").post(f"{API}/inspections", json=tomorrow)
    assert (refused.status_code, refused.json()["code"]) == (400, "bad_inspected_at")
    assert valued.as_("admin").get(f"{API}/inspections").json()["items"] == []


def test_a_branch_sees_values_and_inspections_of_its_own_vehicles_alone(valued: Served):
    for vehicle_id in ("V1", "V5"):
        assert value(valued, vehicle_id).status_code == 201
        valued.as_("admin").post(f"{API}/inspections", json=inspection(vehicle_id=vehicle_id))
    east, west = valued.as_("east"), valued.as_("west")
    for resource in ("valuations", "inspections"):
        assert {row["vehicle_id"] for row in east.get(f"{API}/{resource}").json()["items"]} == {"V1"}
        assert {row["vehicle_id"] for row in west.get(f"{API}/{resource}").json()["items"]} == {"V5"}
        assert east.get(f"{API}/{resource}", params={"vehicle_id": "V5"}).json()["items"] == []
    for call in (
        lambda: east.get(f"{API}/vehicles/V5/valuation"),
        lambda: east.get(f"{API}/vehicles/V5/manual-appraisals"),
        lambda: east.post(f"{API}/valuations", json={"vehicle_id": "V5"}),
        lambda: east.post(f"{API}/inspections", json=inspection(vehicle_id="V5")),
        lambda: east.post(f"{API}/vehicles/V5/manual-appraisals", json=appraisal()),
    ):
        assert call().status_code == 404


def test_whoever_only_looks_on_changes_no_value(valued: Served):
    for who in ("auditor", "device_manager", "bidder"):
        assert value(valued, "V1", who).status_code == 403
        assert valued.as_(who).post(f"{API}/inspections", json=inspection()).status_code == 403
        figure = valued.as_(who).post(f"{API}/vehicles/V1/manual-appraisals", json=appraisal())
        assert figure.status_code == 403


def test_the_portfolio_adds_up_by_branch_and_says_what_has_no_value(valued: Served):
    values = {name: value(valued, name).json()["estimate"]["amount_minor"] for name in ("V1", "V2", "V5")}
    whole = valued.as_("risk_analyst").get(f"{API}/portfolio").json()
    branches = {row["org_id"]: row for row in whole["branches"]}
    assert {name: (row["vehicles"], row["valued"], row["bands"]["unknown"]) for name, row in branches.items()} == {
        "east": (4, 2, 2), "west": (4, 1, 3),
    }  # fmt: skip
    east = branches["east"]
    assert east["balance"] == {"amount_minor": 32_000_000, "currency": "CNY"}
    assert east["value"]["amount_minor"] == values["V1"] + values["V2"]
    assert east["ltv"] == pytest.approx(16_000_000 / (values["V1"] + values["V2"]))
    assert sum(east["bands"].values()) == 4
    (total,) = whole["totals"]
    assert (total["vehicles"], total["loans"], total["balance"]["amount_minor"]) == (8, 8, 64_000_000)
    assert total["breaches"] == sum(row["breaches"] for row in whole["branches"])
    only = valued.as_("west").get(f"{API}/portfolio").json()
    assert [row["org_id"] for row in only["branches"]] == ["west"]
    assert only["totals"][0]["vehicles"] == 4
    assert valued.as_("device_manager").get(f"{API}/portfolio").status_code == 403


def test_prices_seen_are_listed_by_make_page_by_page(valued: Served, tmp_path: Any):
    rows = invented_sales().slice(0, 30).to_pylist()
    with valued.town.connect() as conn:
        (import_id,) = conn.execute(
            "INSERT INTO market_import (file_sha256, mapping_sha256, file_name, mapping_name, state, rows_read, kept,"
            " duplicate) VALUES (sha256('f'), sha256('m'), 'f', 'm', 'done', 30, 30, 0) RETURNING import_id"
        ).fetchone() or (0,)
        for number, row in enumerate(rows):
            conn.execute(
                "INSERT INTO market_observation (import_id, row_number, raw_hash, identity, make, model, model_year,"
                " price_minor, currency, channel, observed_at) VALUES (%s, %s, %s, %s, %s, %s, %s, %s, 'CNY', 'auction', %s)",
                (
                    import_id, number, number, number, row["make"], row["model"], row["model_year"],
                    row["price_minor"], row["observed_at"],
                ),
            )  # fmt: skip
    api = valued.as_("auditor")
    seen: list[dict[str, Any]] = []
    cursor = None
    while True:
        params = {"limit": 7} | ({"cursor": cursor} if cursor else {})
        page = api.get(f"{API}/market/observations", params=params).json()
        seen += page["items"]
        cursor = page["next"]
        if cursor is None:
            break
    assert len({row["id"] for row in seen}) == len(seen) == 30
    assert [row["observed_at"] for row in seen] == sorted((row["observed_at"] for row in seen), reverse=True)
    make = rows[0]["make"]
    same = api.get(f"{API}/market/observations", params={"make": f" {make.upper()} "}).json()["items"]
    assert {row["make"] for row in same} == {make}
    assert api.get(f"{API}/market/observations", params={"currency": "USD"}).json()["items"] == []
    assert api.get(f"{API}/market/observations", params={"channel": "gossip"}).status_code == 422
    assert valued.as_("bidder").get(f"{API}/market/observations").status_code == 403


def test_the_page_shows_the_value_and_takes_what_an_inspector_saw(valued: Served):
    with contextlib.closing(signed_in(valued, "risk_analyst")) as client:
        empty = client.get("/vehicles/V1", params={"tab": "value"})
        assert empty.status_code == 200
        assert "尚未估值" in empty.text
        token = empty.text.split('data-csrf="', 1)[1].split('"', 1)[0]
        headers = {"X-CSRF-Token": token, "HX-Request": "true"}
        assert client.post("/vehicles/V1/value", headers=headers).status_code == 204
        page = client.get("/vehicles/V1", params={"tab": "value"}).text
        for word in ("90% 区间", "市场水平", "可比成交", "抵押率"):
            assert word in page
        form = {
            "inspector": "李工",
            "odometer_km": "61,200",
            "condition": "2.5",
            "flags": ["fire"],
            "note": "<b>烧过</b>",
        }
        assert client.post("/vehicles/V1/inspection", headers=headers, data=form).status_code == 204
        flagged = client.get("/vehicles/V1", params={"tab": "value"}).text
        assert "需要人工评估" in flagged
        assert "&lt;b&gt;烧过" in flagged
        wrong = client.post(
            "/vehicles/V1/inspection", headers=headers, data={"inspector": "李工", "odometer_km": "many"}
        )
        assert (wrong.status_code, "odometer_km" in wrong.text) == (400, True)
        figure = {"amount": "4.5万", "appraiser": "王", "appraised_on": "2026-11-20", "reason": "火烧"}
        day = (wall_now() - timedelta(days=1)).date().isoformat()
        answered = client.post(
            "/vehicles/V1/manual-appraisal", headers=headers, data=figure | {"appraised_on": day}
        )
        assert answered.status_code == 204
        page = client.get("/vehicles/V1", params={"tab": "value"}).text
        assert "需要人工评估</b>" not in page
        assert "¥45,000.00" in page
    with contextlib.closing(signed_in(valued, "auditor")) as client:
        looked = client.get("/vehicles/V1", params={"tab": "value"}).text
        assert "¥45,000.00" in looked
        assert '<form class="value-form"' not in looked
