"""The recovery of a case over real HTTP: who may do what, what is asked for, what comes back."""

from __future__ import annotations

import threading
from uuid import UUID

import pytest

from alerts.cases.transitions import STATES
from auction.cases import store as disposal_cases
from auction.cases.actions import open_for_yard
from collateral.staff.access import create_token
from core.policy.pack import load_pack
from tests.alerts.recovery.pictures import JPEG, PLACE, phone_jpeg, phone_png
from tests.api.recovering import API, INTAKE, ORDER, partner, recovery
from tests.fix_api import Served
from tests.fix_stack import eventually

pytestmark = pytest.mark.db


def test_a_vehicle_goes_from_the_case_to_the_yard(served: Served):
    one = recovery(served)
    assert one.staff.get(f"{one.path}/recovery").json()["moves"] == ["locating", "closed"]
    early = one.move("dispatched", crew="张队")
    assert (early.status_code, early.json()["code"]) == (409, "bad_edge")
    one.move("locating", reason="轨迹显示停在城东")
    bare = one.move("dispatched", crew="张队")
    assert (bare.status_code, bare.json()["code"]) == (400, "ground_missing")
    assert one.post("grounds", ORDER | {"document_sha256": "ab" * 32}).json()["state"] == "in_force"
    assert one.move("dispatched", crew="张队", partner="徽速外包").json()["state"] == "dispatched"
    assert one.move("recovered", odometer_km=61_230.5, place="城东二押点").json()["state"] == "recovered"
    vehicle = served.as_("admin").get(f"{API}/vehicles/V1").json()
    assert vehicle["custody"] == "recovered"
    missing = one.move("in_yard")
    assert (missing.status_code, missing.json()["code"]) == (400, "intake_missing")
    assert missing.json()["facts"]["missing"] == ["intake", "photo", "belongings"]
    assert one.photo(phone_jpeg()).status_code == 201
    assert one.post("intake", INTAKE).json()["yard_name"] == "城北车库"
    booked = one.move("in_yard").json()
    assert booked["state"] == "in_yard"
    assert booked["recovered_at"] < booked["in_yard_at"]
    assert served.as_("admin").get(f"{API}/vehicles/V1").json()["custody"] == "lender_yard"
    shown = one.staff.get(f"{one.path}/recovery").json()
    assert (shown["moves"], shown["missing_for_yard"]) == (["released"], [])
    assert (shown["dispatches"][0]["outcome"], shown["dispatches"][0]["partner"]) == ("recovered", "徽速外包")
    released = one.post("release", {"kind": "redeemed", "reason": "本息结清", "handed_to": "抵押人本人"})
    assert (released.status_code, released.json()["state"]) == (200, "released")
    assert one.staff.get(f"{one.path}/recovery").json()["release"]["kind"] == "redeemed"
    assert one.move("closed", reason="done").json()["state"] == "closed"
    wanted = ["case.in_yard", "case.released"]

    def told() -> bool:
        # The log shows what no open transaction can still come before.
        events = served.as_("service").get(f"{API}/events").json()["items"]
        return [event["kind"] for event in events if event["kind"].startswith("case.")] == wanted

    eventually(told, what="both events in the log")


def test_a_move_that_is_no_edge_gets_a_conflict_over_http_too(served: Served):
    one = recovery(served)
    for target in set(STATES) - {"new", "locating", "closed"}:
        refused = one.move(target, crew="x", reason="x")
        assert (refused.status_code, refused.json()["code"]) == (409, "bad_edge"), target
    unknown = one.move("new")
    assert (unknown.status_code, unknown.json()["code"]) == (422, "invalid_request")
    assert one.move("closed", reason="x").status_code == 200
    for target in set(STATES) - {"new"}:
        refused = one.move(target, crew="x", reason="x")
        assert (refused.status_code, refused.json()["code"]) == (409, "bad_edge"), target


def test_a_lease_recovery_is_approved_by_a_second_person(served: Served):
    one = recovery(served)
    with served.town.connect() as conn:
        conn.execute("UPDATE loan SET collateral_form = 'lease_back' WHERE loan_id = 'L1'")
    recorder, other = served.as_("risk_analyst"), served.as_("admin")
    ground = one.post("grounds", ORDER | {"kind": "approved_lease_recovery"}, by=recorder).json()
    assert ground["state"] == "pending"
    path = f"grounds/{ground['id']}/approval"
    same = one.post(path, {"approve": True, "note": "LGL-7"}, by=recorder)
    assert (same.status_code, same.json()["code"]) == (403, "same_person")
    assert one.post(path, {"approve": True, "note": "LGL-7"}).status_code == 403, "field staff do not approve"
    done = one.post(path, {"approve": True, "note": "LGL-7"}, by=other)
    assert (done.status_code, done.json()["state"]) == (200, "in_force")
    again = one.post(path, {"approve": False, "note": "x"}, by=other)
    assert (again.status_code, again.json()["code"]) == (409, "ground_decided")
    ended = one.post(f"grounds/{ground['id']}/withdrawal", {"reason": "合同和解"})
    assert ended.status_code == 200
    assert one.staff.get(f"{one.path}/recovery").json()["grounds"][0]["state"] == "withdrawn"


def test_true_is_no_distance_and_no_number_of_keys(served: Served):
    one = recovery(served).reach("dispatched")
    assert one.move("recovered", odometer_km=True).status_code == 422
    assert one.state == "dispatched"
    assert one.reach("recovered").post("intake", INTAKE | {"keys_count": True}).status_code == 422
    assert one.post("intake", INTAKE | {"odometer_km": False}).status_code == 422
    assert one.post("belongings", {"item": "伞", "quantity": True}).status_code == 422


def test_a_payment_on_the_way_stops_the_crew(served: Served):
    one = recovery(served).reach("dispatched")
    paid = served.as_("service").post(
        f"{API}/loans/L1/payments",
        json={"payment_id": "PAY-1", "amount": {"amount_minor": 8_000_000, "currency": "CNY"},
              "paid_at": served.town.began.isoformat()},
    )  # fmt: skip
    assert paid.status_code in {200, 201}, paid.text
    refused = one.move("recovered")
    assert (refused.status_code, refused.json()["code"]) == (409, "loan_paid")
    assert one.state == "dispatched"
    assert served.as_("admin").get(f"{API}/vehicles/V1").json()["custody"] == "pledgor"


def test_a_partner_does_what_a_crew_does_and_decides_nothing(served: Served):
    one, outside = recovery(served), partner(served)
    assert one.move("locating", by=outside).json()["code"] == "staff_only"
    one.reach("locating")
    one.post("grounds", ORDER)
    assert one.move("dispatched", by=outside, crew="x").json()["code"] == "staff_only"
    for what, body in (
        ("grounds", ORDER), ("release", {"kind": "released", "reason": "x"}),
        ("crew-links", {"crew": "x"}), ("close", {"reason": "x"}),
    ):  # fmt: skip
        assert one.post(what, body, by=outside).status_code == 403, what
    one.move("dispatched", crew="外包")
    assert one.move("recovered", by=outside).status_code == 200
    assert one.photo(by=outside).status_code == 201
    assert one.post("belongings", {"item": "雨伞", "quantity": 2}, by=outside).status_code == 201
    assert one.post("intake", INTAKE | {"no_belongings": False}, by=outside).status_code == 200
    assert one.move("released", by=outside, reason="x").json()["code"] == "staff_only"
    assert one.move("in_yard", by=outside).json()["state"] == "in_yard"


def test_another_branch_sees_nothing_of_a_recovery(served: Served):
    one = recovery(served).reach("in_yard")
    photo = one.staff.get(f"{one.path}/recovery").json()["photos"][0]["id"]
    west = served.as_("west")
    assert west.get(f"{one.path}/recovery").status_code == 404
    assert west.get(f"{one.path}/photos/{photo}").status_code == 404
    for what, body in (
        ("transitions", {"to": "released", "reason": "x"}), ("release", {"kind": "released", "reason": "x"}),
        ("grounds", ORDER), ("intake", INTAKE), ("belongings", {"item": "x"}), ("crew-links", {"crew": "x"}),
    ):  # fmt: skip
        assert one.post(what, body, by=west).status_code == 404, what
    assert one.photo(by=west).status_code == 404
    mine = west.put(f"{API}/yards/west-1", json={"name": "城西库", "lat": 30.1, "lon": 117.8})
    assert mine.json()["org_id"] == "west"
    assert west.put(f"{API}/yards/north", json={"name": "抢来的", "lat": 30, "lon": 117}).status_code == 404
    assert (
        west.put(
            f"{API}/yards/east-1", json={"name": "x", "lat": 30, "lon": 117, "org_id": "east"}
        ).status_code
        == 404
    )
    assert {yard["id"] for yard in west.get(f"{API}/yards").json()["items"]} == {"north", "west-1"}


def test_a_photo_is_shown_as_a_picture_and_never_as_a_page(served: Served):
    one = recovery(served).reach("dispatched")
    made = one.photo(phone_jpeg(), name="IMG.html")
    assert (made.status_code, made.json()["content_type"], made.json()["width"]) == (201, "image/jpeg", 24)
    assert made.json()["taken_at"] == "2026-11-20T02:31:05Z"
    picture = served.as_("disposal").get(f"{one.path}/photos/{made.json()['id']}")
    assert picture.headers["content-type"] == "image/jpeg"
    assert picture.headers["x-content-type-options"] == "nosniff"
    assert picture.content.startswith(b"\xff\xd8\xff")
    assert PLACE not in picture.content
    assert one.photo(phone_jpeg()).status_code == 200, "the same one again"
    assert one.photo(phone_png(), kind="odometer").json()["content_type"] == "image/png"
    assert served.as_("bidder").get(f"{one.path}/photos/{made.json()['id']}").status_code == 403


@pytest.mark.parametrize(
    ("data", "status", "code"),
    [
        (JPEG[:-60], 400, "photo_truncated"),
        (b"<html><script>alert(1)</script></html>", 400, "photo_not_an_image"),
        (b"\xff\xd8\xff<html><script>alert(1)</script>", 400, "photo_not_an_image"),
        (JPEG[:2] + b"\xff\xfe\xff\xff" + b"x" * 20_000_000, 413, "payload_too_large"),
        (b"", 400, "photo_not_an_image"),
    ],
    ids=["truncated", "html", "html behind magic", "20 MB", "empty"],
)
def test_what_is_no_photo_is_refused(served: Served, data: bytes, status: int, code: str):
    one = recovery(served).reach("dispatched")
    refused = one.photo(data)
    assert (refused.status_code, refused.json()["code"]) == (status, code)
    assert one.staff.get(f"{one.path}/recovery").json()["photos"] == []
    assert one.photo(kind="selfie").status_code == 422


def test_two_who_send_a_crew_at_once_get_one_crew_and_one_conflict(served: Served):
    one = recovery(served).reach("locating")
    one.post("grounds", ORDER)
    with served.town.connect() as conn:
        served.town.tokens["second"] = create_token(conn, "recovery")
    clients = [served.as_("recovery"), served.as_("second")]
    gate, answers = threading.Barrier(2), []

    def send(number: int) -> None:
        gate.wait()
        answers.append(one.move("dispatched", by=clients[number], crew=f"队{number}"))

    threads = [threading.Thread(target=send, args=(number,)) for number in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert sorted(answer.status_code for answer in answers) == [200, 409]
    assert len(one.staff.get(f"{one.path}/recovery").json()["dispatches"]) == 1


def test_a_release_withdraws_the_sale_at_once_and_comes_too_late_after_the_hammer(served: Served):
    one = recovery(served).reach("in_yard")
    with served.town.connect() as conn:
        sale = open_for_yard(
            conn, recovery_case_id=UUID(one.case_id), vehicle_id="V1", org_id="east", repossessed_at=None,
            pack=load_pack("cn-private"),
        )  # fmt: skip
        conn.execute("UPDATE disposal_case SET state = 'sold' WHERE case_id = %s", (sale.case_id,))
    late = one.post("release", {"kind": "redeemed", "reason": "本息结清"})
    assert (late.status_code, late.json()["code"]) == (409, "already_hammered")
    assert one.state == "in_yard"
    with served.town.connect() as conn:
        conn.execute("UPDATE disposal_case SET state = 'open' WHERE case_id = %s", (sale.case_id,))
    assert one.post("release", {"kind": "redeemed", "reason": "本息结清"}).json()["state"] == "released"
    with served.town.connect() as conn:
        assert disposal_cases.get_case(conn, sale.case_id).state == "redeemed"


def test_a_move_sent_twice_with_one_key_is_done_once(served: Served):
    one = recovery(served)
    sent = [
        one.staff.post(f"{one.path}/transitions", json={"to": "locating"}, headers={"Idempotency-Key": "k1"})
        for _ in range(2)
    ]
    assert [answer.status_code for answer in sent] == [200, 200]
    assert sent[0].json() == sent[1].json()
    assert sent[1].headers["Idempotent-Replay"] == "true"
