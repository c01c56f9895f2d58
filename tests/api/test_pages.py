"""Pages over plain HTTP: who lands where, what is logged, and problems as pages."""

from __future__ import annotations

import contextlib

import httpx
import pytest

from collateral.staff.access import create_sign_in_link
from tests.fix_api import Served

pytestmark = pytest.mark.db


def signed_in(served: Served, role: str) -> httpx.Client:
    with served.town.connect() as conn:
        link = create_sign_in_link(conn, role)
    client = httpx.Client(base_url=served.base_url, follow_redirects=True, headers={"Accept": "text/html"})
    client.get(f"/sign-in/{link}")
    return client


def test_whoever_may_not_see_locations_starts_elsewhere(served: Served):
    with contextlib.closing(signed_in(served, "disposal")) as client:
        landed = client.get("/")
        assert landed.url.path == "/vehicles"
        assert "皖A00001" in landed.text
        refused = client.get("/alerts")
        assert refused.status_code == 403
        assert "没有权限" in refused.text
    with httpx.Client(base_url=served.base_url, headers={"Accept": "text/html"}) as stranger:
        assert stranger.get("/").headers["location"] == "/sign-in"


def test_a_page_that_shows_a_place_writes_the_log_with_the_chosen_purpose(served: Served):
    case = served.as_("recovery").get("/api/v1/alerts", params={"severity": "P1"}).json()["items"][0]
    case_id = served.as_("recovery").post("/api/v1/cases", json={"alert_id": case["id"]}).json()["id"]
    with contextlib.closing(signed_in(served, "recovery")) as client:
        assert client.get(f"/cases/{case_id}").status_code == 200
        client.cookies.set("pw_purpose", "collection")
        assert client.get("/vehicles/V1?tab=stays").status_code == 200
        assert client.get("/vehicles/V1?tab=nonsense").status_code == 400
        assert client.get("/vehicles/V404").status_code == 404
    views = served.as_("auditor").get("/api/v1/audit", params={"vehicle_id": "V1"}).json()["items"]
    assert [(view["resource"], view["purpose"], view["actor"]) for view in views] == [
        ("stays", "collection", "link:recovery"), ("cases", "recovery", "link:recovery"),
    ]  # fmt: skip


def test_the_inbox_puts_the_worst_and_newest_first_and_keeps_the_filter(served: Served):
    with contextlib.closing(signed_in(served, "risk_analyst")) as client:
        text = client.get("/fragments/inbox").text
        assert text.index("停留高风险地点") < text.index("设备离线")
        only = client.get("/fragments/inbox", params={"severity": "P3"}).text
        assert "停留高风险地点" not in only
        assert "设备离线" in only
        english = client.post("/language/en", headers={"Referer": served.base_url + "/alerts"})
        assert english.url.path == "/alerts"
        assert "Stay at a risk place" in english.text


def test_what_somebody_typed_is_shown_as_text_and_never_as_markup(served: Served):
    api = served.as_("recovery")
    alert = api.get("/api/v1/alerts", params={"severity": "P1"}).json()["items"][0]
    case_id = api.post("/api/v1/cases", json={"alert_id": alert["id"]}).json()["id"]
    api.post(f"/api/v1/cases/{case_id}/notes", json={"text": "<script>alert(1)</script>"})
    with contextlib.closing(signed_in(served, "recovery")) as client:
        page = client.get(f"/cases/{case_id}").text
    assert "<script>alert(1)" not in page
    assert "&lt;script&gt;alert(1)" in page
