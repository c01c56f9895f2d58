"""Four eyes over HTTP for each action that needs them, edits from an old reading, public answers that age."""

from __future__ import annotations

import pytest

from tests.api.sale_scene import API, START, STEP, Sale, made, refused

pytestmark = pytest.mark.db


def decide(sale: Sale, who: str, approval_id: str, *, approve: bool = True, reason: str = ""):
    body = {"approve": approve, "reason": reason}
    return sale.served.as_(who).post(f"{API}/approvals/{approval_id}/decision", json=body)


def asked(sale: Sale, action: str, **more: str) -> str:
    """Ask, be refused as the one who asked, and return the question."""
    answer = sale.move(sale.staff, action, **more)
    assert answer.status_code == 202, answer.text
    approval_id: str = answer.json()["approval"]["id"]
    refused(decide(sale, "disposal", approval_id), 403, "same_person")
    refused(sale.move(sale.other, action, **more), 409, "approval_waiting")
    return approval_id


def test_publishing_suspending_resuming_and_withdrawing_need_a_second_person(sale: Sale):
    sale.open_case()
    sale.prepare()
    sale.draft()
    refused(sale.move(sale.other, "publish"), 409, "bad_edge")
    assert sale.move(sale.staff, "submit").json()["lot"]["state"] == "review"
    refused(sale.move(sale.staff, "publish"), 403, "same_person")
    assert sale.move(sale.staff, "send_back").json()["lot"]["state"] == "draft"
    sale.move(sale.staff, "submit")
    assert sale.move(sale.other, "publish").json()["lot"]["state"] == "published"
    sale.open()

    refused(sale.move(sale.staff, "suspend"), 400, "reason_required")
    refused(sale.move(sale.staff, "resume"), 409, "bad_edge")
    question = asked(sale, "suspend", reason="法院来函", reason_class="stay")
    waiting = sale.other.get(f"{API}/approvals", params={"waiting": True}).json()["items"]
    assert [row["id"] for row in waiting] == [question]
    refused(decide(sale, "admin", question, approve=False), 400, "reason_missing")
    assert decide(sale, "admin", question).json()["decision"] == "approved"
    refused(decide(sale, "admin", question), 409, "already_decided")
    assert sale.lot()["state"] == "suspended"
    event = sale.stranger.get(f"{API}/lots/{sale.lot_id}/events").json()["items"][-1]
    assert (event["kind"], event["payload"], event["actor_code"]) == (
        "lot.suspended",
        {"reason_class": "stay"},
        "staff",
    )

    assert decide(sale, "admin", asked(sale, "resume")).status_code == 200
    assert sale.lot()["state"] == "open"
    assert (
        decide(
            sale, "disposal", asked(sale, "withdraw", reason="x"), approve=False, reason="误操作"
        ).status_code
        == 200
    )
    assert sale.lot()["state"] == "open"
    assert (
        decide(
            sale, "admin", asked(sale, "withdraw", reason="权属争议", reason_class="title_defect")
        ).status_code
        == 200
    )
    assert sale.lot()["state"] == "withdrawn"
    refused(sale.move(sale.staff, "resume"), 409, "bad_edge")
    for role in ("auditor", "bidder", "risk_analyst"):
        refused(sale.move(sale.served.as_(role), "submit"), 403, "forbidden")
        assert decide(sale, role, question).status_code == 403


def test_waiving_a_step_a_dear_cost_and_more_time_need_a_second_person(sale: Sale):
    settlement = sale.sell()
    path = f"{API}/settlements/{settlement['id']}"
    longer = sale.staff.post(f"{path}/extension", json={"days": 2, "reason": "跨行转账"})
    assert longer.status_code == 202
    refused(decide(sale, "disposal", longer.json()["id"]), 403, "same_person")
    assert decide(sale, "admin", longer.json()["id"]).status_code == 200
    assert sale.settlement()["pay_by"] > settlement["pay_by"]
    refused(sale.staff.post(f"{path}/extension", json={"days": 2, "reason": "x"}), 409, "extended_before")

    costs = f"{API}/disposal-cases/{sale.case_id}/costs"
    cheap = {"kind": "towing", "amount": {"amount_minor": 80_000, "currency": "CNY"}, "receipt": "T-1"}
    assert made(sale.staff.post(costs, json=cheap))["state"] == "accepted"
    dear = {"kind": "towing", "amount": {"amount_minor": 900_000, "currency": "CNY"}, "receipt": "T-2"}
    waiting = sale.staff.post(costs, json=dear)
    assert (waiting.status_code, waiting.json()["state"]) == (202, "waiting")
    question = waiting.json()["approval"]["id"]
    refused(decide(sale, "disposal", question), 403, "same_person")
    assert decide(sale, "admin", question).status_code == 200
    lines = sale.staff.get(f"{API}/disposal-cases/{sale.case_id}").json()["costs"]
    assert [line["state"] for line in lines] == ["accepted", "accepted"]

    sale.pay()
    steps = f"{path}/title-steps"
    refused(
        sale.staff.post(f"{steps}/transfer_filed", json={"state": "done", "evidence": "x"}),
        409,
        "step_too_early",
    )
    refused(
        sale.staff.post(f"{steps}/nonsense", json={"state": "done", "evidence": "x"}), 404, "step_not_found"
    )
    refused(sale.staff.post(f"{steps}/keys", json={"state": "done"}), 400, "evidence_missing")
    waived = sale.staff.post(f"{steps}/insurance", json={"state": "waived", "evidence": "已过户险"})
    assert waived.status_code == 202
    refused(decide(sale, "disposal", waived.json()["approval"]["id"]), 403, "same_person")
    assert decide(sale, "admin", waived.json()["approval"]["id"]).status_code == 200
    states = {step["step"]: step["state"] for step in sale.settlement()["title_steps"]}
    assert states["insurance"] == "waived"


def test_a_draft_is_edited_from_its_newest_reading_and_a_published_lot_not_at_all(sale: Sale):
    sale.open_case()
    sale.prepare()
    sale.draft()
    path = f"{API}/lots/{sale.lot_id}"
    tag = sale.staff.get(path).headers["ETag"]
    change = {"title": "骏驰 A6 豪华版", "start_minor": START + STEP}
    refused(sale.staff.patch(path, json=change), 428, "if_match_required")
    edited = sale.staff.patch(path, json=change, headers={"If-Match": tag})
    assert (edited.status_code, edited.json()["title"]) == (200, "骏驰 A6 豪华版")
    refused(sale.staff.patch(path, json=change, headers={"If-Match": tag}), 412, "stale_version")
    low = sale.staff.patch(path, json={"start_minor": TOO_LOW}, headers={"If-Match": edited.headers["ETag"]})
    refused(low, 422, "start_below_floor")
    sale.move(sale.staff, "submit")
    tag = sale.staff.get(path).headers["ETag"]
    refused(sale.staff.patch(path, json=change, headers={"If-Match": tag}), 409, "not_draft")
    sale.move(sale.other, "publish")
    seen = sale.stranger.get(path)
    assert seen.headers["ETag"] == f'"lot-{seen.json()["seq"]}"'
    assert (
        abs(int(seen.headers["X-Server-Time-Ms"]) - sale.stranger.get(f"{API}/time").json()["server_time_ms"])
        < 5_000
    )
    unchanged = sale.stranger.get(path, headers={"If-None-Match": seen.headers["ETag"]})
    assert (unchanged.status_code, unchanged.content) == (304, b"")
    sale.open()
    fresh = sale.stranger.get(path, headers={"If-None-Match": seen.headers["ETag"]})
    assert (fresh.status_code, fresh.json()["state"]) == (200, "open")
    assert {"id", "case_id", "round", "type", "state", "starts_at", "ends_at", "start_price", "price", "min_next",
            "leader_code", "seq", "words"} <= fresh.json().keys()  # fmt: skip
    assert fresh.json()["words"]["sale"] == "网络竞价"


def test_a_barred_bidder_bids_no_more_and_a_leader_is_not_barred(sale: Sale):
    sale.publish()
    sale.come(2)
    sale.open()
    first, second = sale.people
    made(first.bid(sale.lot_id, START))
    bar = {"reason": "身份材料存疑"}
    refused(
        sale.staff.post(f"{API}/registrations/{first.registration['id']}/bar", json=bar),
        409,
        "leading_bidder",
    )
    barred = sale.staff.post(f"{API}/registrations/{second.registration['id']}/bar", json=bar)
    assert (barred.status_code, barred.json()["state"], barred.json()["display_name"]) == (
        200,
        "barred",
        None,
    )
    refused(second.bid(sale.lot_id, START + STEP), 403, "not_eligible")
    told = second.client.get(f"{API}/me/registrations").json()["items"][0]
    assert told["barred_reason"] == "身份材料存疑", "and not by whom"
    wallet = told["wallet"]
    assert wallet["amount_minor"] == 5_000_000, "the deposit came back"
    excluded = sale.staff.post(f"{API}/bidders/{second.bidder_id}/exclusions", json={"reason": "relative"})
    assert excluded.status_code == 201
    sale.staff.post(f"{API}/disposal-cases", json={"vehicle_id": "V2"})
    again = second.client.post(
        f"{API}/lots/{sale.lot_id}/registrations", json={"terms_version": sale.lot()["terms_version"]}
    )
    refused(again, 403, "excluded_party")


TOO_LOW = 10_000
