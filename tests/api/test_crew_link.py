"""The page on a crew's phone: what it shows, what it may do, when it ends, and what is written down."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from tests.alerts.recovery.pictures import JPEG, phone_jpeg
from tests.api.recovering import API, Recovery, recovery
from tests.api.test_pages import signed_in
from tests.fix_api import Served

pytestmark = pytest.mark.db


@pytest.fixture
def phone(served: Served) -> Iterator[httpx.Client]:
    with httpx.Client(
        base_url=served.base_url, headers={"Accept": "text/html"}, follow_redirects=True, timeout=20
    ) as client:
        yield client


def send(
    phone: httpx.Client, link: dict[str, Any], what: str, files: Any = None, **fields: Any
) -> httpx.Response:
    return phone.post(f"{link['path']}/{what}", data={"token": link["token"]} | fields, files=files)


def photo(phone: httpx.Client, link: dict[str, Any], data: bytes = JPEG) -> httpx.Response:
    return send(phone, link, "photos", files={"file": ("a.jpg", data, "image/jpeg")}, kind="front")


def views(one: Recovery) -> list[str]:
    newest = one.staff.get(f"{one.path}/crew-links").json()["items"][0]["newest_views"]
    return [view["what"] for view in reversed(newest)]


def test_the_page_shows_what_a_crew_needs_and_nobodys_number(served: Served, phone: httpx.Client):
    one = recovery(served).reach("dispatched")
    link = one.link()
    page = phone.get(link["path"])
    assert page.status_code == 200
    for word in (
        "皖A00001",
        "骏驰",
        "A6",
        "(2026)皖01执88号",
        "遇到拒绝或阻拦",
        "08:00-22:00",
        "高德地图打开",
    ):
        assert word in page.text, word
    assert "1380013800" not in page.text
    assert "抵押人01" not in page.text
    assert "80,000" not in page.text, "what is owed is nobody's business at the kerb"
    position = served.as_("admin").get(f"{API}/positions", params={"vehicle_id": "V1"}).json()["items"][0]
    shifted = re.search(r"position=([\d.]+),([\d.]+)", page.text)
    assert shifted is not None
    assert 0.002 < abs(float(shifted[1]) - position["lon"]) < 0.01
    assert page.headers["cache-control"] == "no-store"
    phone.cookies.set("pw_lang", "en")
    assert "If anybody resists, stop and leave" in phone.get(link["path"]).text


def test_a_look_at_the_place_is_logged_with_its_purpose_and_its_link(served: Served, phone: httpx.Client):
    one = recovery(served).reach("dispatched")
    link = one.link()
    phone.get(link["path"])
    seen = served.as_("auditor").get(f"{API}/audit", params={"vehicle_id": "V1"}).json()["items"][0]
    assert (seen["actor"], seen["purpose"], seen["resource"]) == (f"crew:{link['id']}", "recovery", "crew")
    assert views(one) == ["page", "location"]
    one.move("recovered")
    page = phone.get(link["path"])
    assert page.status_code == 200
    assert "uri.amap.com" not in page.text, "who has the vehicle needs no place"
    assert views(one) == ["page", "location", "page"]


def test_a_crew_takes_the_vehicle_from_the_street_to_the_yard(served: Served, phone: httpx.Client):
    one = recovery(served).reach("dispatched")
    link = one.link()
    assert photo(phone, link, phone_jpeg()).status_code == 200
    done = send(phone, link, "recovered", odometer_km="61230.5", place="城东路 8 号")
    assert (done.status_code, one.state) == (200, "recovered")
    arrival = {"yard_id": "north", "odometer_km": "61240", "keys_count": "2", "received_by": "李库管"}
    early = send(phone, link, "yard", **arrival)
    assert early.status_code == 400
    assert "请登记车内物品" in early.text
    assert one.staff.get(f"{one.path}/recovery").json()["intake"] is None, "both or neither"
    assert send(phone, link, "belongings", item="儿童座椅", quantity="1").status_code == 200
    arrived = send(
        phone, link, "yard", **arrival, registration_certificate="true", condition_note="右后轮毂刮擦"
    )
    assert arrived.status_code == 200
    assert "已入库，谢谢" in arrived.text
    shown = one.staff.get(f"{one.path}/recovery").json()
    assert shown["state"] == "in_yard"
    assert (shown["intake"]["handed_by"], shown["intake"]["recorded_by"]) == ("张队", f"crew:{link['id']}")
    assert shown["photos"][0]["uploaded_by"] == f"crew:{link['id']}"
    after = phone.get(link["path"])
    assert after.status_code == 410
    assert views(one)[-2:] == ["yard", "refused_page"]


def test_a_failed_visit_ends_the_link_and_sends_the_case_back(served: Served, phone: httpx.Client):
    one = recovery(served).reach("dispatched")
    link = one.link()
    unsaid = send(phone, link, "failed", failure="other")
    assert unsaid.status_code == 400
    assert "请说明原因" in unsaid.text
    assert one.state == "dispatched"
    ended = send(phone, link, "failed", failure="resistance", note="<script>alert(1)</script>车主拒绝")
    assert ended.status_code == 200
    assert "请离开现场" in ended.text
    assert one.state == "locating"
    assert phone.get(link["path"]).status_code == 410
    again = send(phone, link, "failed", failure="resistance")
    assert again.status_code == 410


def test_a_link_that_ended_says_nothing_of_what_it_was_about(served: Served, phone: httpx.Client):
    one = recovery(served).reach("dispatched")
    revoked, expired = one.link(), one.link()
    assert one.post(f"crew-links/{revoked['id']}/revoke").json()["usable"] is False
    with served.town.connect() as conn:
        conn.execute(
            "UPDATE crew_link SET created_at = created_at - interval '13 hours',"
            " expires_at = expires_at - interval '13 hours' WHERE link_id = %s", (expired["id"],),
        )  # fmt: skip
    for link in (revoked, expired):
        for answer in (
            phone.get(link["path"]), photo(phone, link), send(phone, link, "recovered"),
            send(phone, link, "belongings", item="x"), send(phone, link, "failed", failure="unsafe"),
            send(phone, link, "yard", yard_id="north", odometer_km="1", keys_count="1", received_by="x"),
        ):  # fmt: skip
            assert answer.status_code == 410
            assert "链接已失效" in answer.text
            for word in ("皖A00001", "骏驰", "二押", "amap", "88号", "张队", one.case_id):
                assert word not in answer.text
    assert one.state == "dispatched"
    assert served.as_("auditor").get(f"{API}/audit", params={"vehicle_id": "V1"}).json()["items"] == []


def test_wrong_links_are_braked_while_a_right_one_still_opens(served: Served, phone: httpx.Client):
    one = recovery(served).reach("dispatched")
    link = one.link()
    codes = [phone.get(f"/crew/pwc_{number:043d}").status_code for number in range(33)]
    assert codes[0] == 404
    assert codes[-1] == 429
    assert set(codes) == {404, 429}
    assert phone.get(link["path"]).status_code == 200
    assert phone.get("/crew/%00").status_code == 429


def test_a_form_from_elsewhere_or_with_another_token_is_refused(served: Served, phone: httpx.Client):
    one = recovery(served).reach("dispatched")
    link, other = one.link(), one.link()
    for headers, token in (
        ({"Origin": "https://evil.example"}, link["token"]), ({"Sec-Fetch-Site": "cross-site"}, link["token"]),
        ({}, other["token"]), ({}, "密"),
    ):  # fmt: skip
        answer = phone.post(f"{link['path']}/recovered", data={"token": token}, headers=headers)
        assert answer.status_code == 403
    assert phone.post(f"{link['path']}/recovered").status_code == 422
    assert one.state == "dispatched"


def test_a_paid_loan_is_told_to_the_crew_in_words_that_send_it_home(served: Served, phone: httpx.Client):
    one = recovery(served).reach("dispatched")
    link = one.link()
    with served.town.connect() as conn:
        conn.execute("UPDATE loan SET status = 'paid', balance_minor = 0 WHERE loan_id = 'L1'")
    answer = send(phone, link, "recovered")
    assert answer.status_code == 409
    assert "不得收车" in answer.text
    assert one.state == "dispatched"


def test_what_a_crew_types_or_uploads_is_shown_as_text(served: Served, phone: httpx.Client):
    one = recovery(served).reach("dispatched")
    evil = "<img src=x onerror=alert(1)>\"'"
    link = one.link(crew=evil)
    assert "<img src=x" not in phone.get(link["path"]).text
    send(phone, link, "recovered", place=evil)
    send(phone, link, "belongings", item=evil, quantity="3")
    page = phone.get(link["path"]).text
    assert "<img src=x" not in page
    assert "&lt;img src=x" in page
    refused = photo(phone, link, b"<script>alert(1)</script>")
    assert refused.status_code == 400
    assert "这不是照片" in refused.text
    for odd in ("abc", "1e999", "nan", "-4"):
        wrong = send(phone, link, "yard", yard_id="north", odometer_km=odd, keys_count="1", received_by="x")
        assert wrong.status_code == 400, odd
    with contextlib.closing(signed_in(served, "recovery")) as office:
        case = office.get(f"/cases/{one.case_id}").text
    assert "<img src=x" not in case
    assert "&lt;img src=x" in case


def test_a_link_is_shown_once_and_its_token_is_nowhere(served: Served):
    one = recovery(served).reach("dispatched")
    link = one.link()
    assert link["path"] == f"/crew/{link['token']}"
    assert one.post("crew-links", {"crew": "x", "expires_in_hours": 73}).status_code == 422
    listed = one.staff.get(f"{one.path}/crew-links")
    assert link["token"] not in listed.text
    assert link["token"] not in one.staff.get(one.path).text
    assert served.as_("auditor").get(f"{one.path}/crew-links").status_code == 200
    assert served.as_("disposal").get(f"{one.path}/crew-links").status_code == 403
    with served.town.connect() as conn:
        for table in (
            "crew_link",
            "case_entry",
            "view_log",
            "crew_link_view",
            "idempotency_key",
            "domain_event",
        ):
            rows = conn.execute(f"SELECT to_jsonb({table})::text FROM {table}").fetchall()
            assert all(link["token"] not in row[0] for row in rows), table
