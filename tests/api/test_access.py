"""Who gets in, what they see, and what is written down about it."""

from __future__ import annotations

import contextlib
import re
from datetime import timedelta
from typing import Any

import httpx
import pytest

from api.app import leaf_routers, routes_of
from api.auth import CSRF_HEADER
from api.roles import PUBLIC, RULES
from collateral.staff.access import create_sign_in_link, create_token
from collateral.staff.people import create_user
from tests.fix_api import Served

API = "/api/v1"


def test_every_route_has_a_rule_and_every_rule_a_route():
    named = [route.endpoint.__name__ for router in leaf_routers() for route in routes_of(router)]
    assert sorted(named) == sorted(RULES)
    assert len(named) == len(set(named)), "an operation's name is its rule: two routes must not share one"


def test_every_public_operation_is_one_that_has_to_be():
    public = {name for name, roles in RULES.items() if roles is PUBLIC}
    assert public == {
        "live", "ready", "metrics", "openapi_document", "sign_in_page", "sign_in", "sign_in_by_link",
        "choose_language", "crew_page", "crew_visit_failed", "crew_recovered", "crew_photo", "crew_belonging",
        "crew_arrived", "list_lots", "get_lot", "get_protocol", "list_bids", "lot_events", "server_time",
        "lots_page", "lot_page",
    }  # fmt: skip


def filled(path: str) -> str:
    return re.sub(r"\{\w*(case|alert)_id\}", "00000000-0000-4000-8000-000000000000", path).replace(
        "{contact_id}", "1"
    )


def routes() -> list[tuple[str, str, str]]:
    from api.document import describe

    return [
        (method.upper(), re.sub(r"\{\w+\}", "1", filled(path)), operation["operationId"])
        for path, operations in describe()["paths"].items()
        for method, operation in operations.items()
    ]


@pytest.mark.db
def test_nobody_gets_anything_without_a_token_and_each_role_only_its_own(served: Served):
    for method, path, operation in routes():
        if RULES[operation] is PUBLIC:
            assert served.as_(None).request(method, path).status_code not in {401, 403}, operation
            continue
        answer = served.as_(None).request(method, path)
        assert (answer.status_code, answer.json()["code"]) == (401, "unauthenticated"), operation
        assert answer.headers["content-type"] == "application/problem+json"
        for role in ("bidder", "disposal", "auditor", "device_manager"):
            if role in RULES[operation] and not operation.startswith("stream"):
                assert served.as_(role).request(method, path).status_code != 403, (role, operation)
            elif role not in RULES[operation]:
                refused = served.as_(role).request(method, path)
                assert (refused.status_code, refused.json()["code"]) == (403, "forbidden"), (role, operation)


@pytest.mark.db
def test_a_token_that_ended_or_never_was_is_refused(served: Served):
    with served.town.connect() as conn:
        short = create_token(conn, "admin", lifetime=timedelta(microseconds=1))
    for bad in (short, "pwt_nonsense", "Basic x"):
        answer = httpx.get(f"{served.base_url}{API}/me", headers={"Authorization": f"Bearer {bad}"})
        assert answer.status_code == 401


@pytest.mark.db
def test_a_branch_sees_its_own_vehicles_and_nothing_of_another(served: Served):
    east, west = served.as_("east"), served.as_("west")
    assert {item["vehicle_id"] for item in east.get(f"{API}/vehicles").json()["items"]} == {
        "V1",
        "V2",
        "V3",
        "V4",
    }
    assert {item["vehicle_id"] for item in west.get(f"{API}/positions").json()["items"]} == {
        "V5",
        "V6",
        "V7",
        "V8",
    }
    alert = east.get(f"{API}/alerts").json()["items"]
    assert [item["vehicle_id"] for item in alert] == ["V1"]
    case_id = east.post(f"{API}/cases", json={"alert_id": alert[0]["id"]}).json()["id"]
    contact = (
        served.as_("recovery").get(f"{API}/contacts", params={"party_id": "P1"}).json()["items"][0]["id"]
    )
    hidden: list[tuple[str, str, dict[str, Any]]] = [
        ("GET", "/vehicles/V1", {}), ("GET", "/tracks/V1", {}), ("GET", "/stays?vehicle_id=V1", {}),
        ("GET", "/loans/L1", {}), ("GET", "/devices/D1", {}), ("GET", "/pledgors/P1", {}),
        ("GET", "/contacts?party_id=P1", {}), ("GET", f"/alerts/{alert[0]['id']}", {}),
        ("POST", f"/alerts/{alert[0]['id']}/acknowledge", {}), ("GET", f"/alerts/{alert[0]['id']}/history", {}),
        ("GET", f"/cases/{case_id}", {}), ("POST", f"/cases/{case_id}/notes", {"json": {"text": "x"}}),
        ("POST", f"/cases/{case_id}/close", {"json": {"reason": "x"}}), ("GET", "/findings?vehicle_id=V1", {}),
        ("POST", f"/contacts/{contact}/reveal", {}), ("GET", "/consents?vehicle_id=V1", {}),
        ("GET", f"/contacts/attempts?case_id={case_id}", {}),
        ("PUT", "/loans/L1", {"json": {"vehicle_id": "V5", "balance": {"amount_minor": 1, "currency": "CNY"},
                                       "snapshot_at": "2026-11-20T00:00:00Z"}}),
    ]  # fmt: skip
    for method, path, more in hidden:
        answer = west.request(method, API + path, **more)
        assert answer.status_code == 404, (path, answer.text)
    assert west.get(f"{API}/findings").json()["items"][0]["vehicle_id"] == "V5"
    assert west.get(f"{API}/cases").json()["items"] == []
    assert west.get(f"{API}/loans", params={"vehicle_id": "V1"}).json()["items"] == []


@pytest.mark.db
def test_a_location_needs_a_purpose_and_the_look_is_on_record(served: Served):
    client = served.as_("risk_analyst")
    for path in ("/positions", "/tracks/V1", "/stays?vehicle_id=V1"):
        for headers in ({"Purpose": ""}, {"Purpose": "curiosity"}):
            answer = client.get(API + path, headers=headers)
            assert (answer.status_code, answer.json()["code"]) == (400, "purpose_required"), path
    bare = httpx.get(
        f"{served.base_url}{API}/positions",
        headers={"Authorization": f"Bearer {served.town.tokens['risk_analyst']}"},
    )
    assert (bare.status_code, bare.json()["code"]) == (400, "purpose_required")
    assert served.as_("auditor").get(f"{API}/audit").json()["items"] == [], "a refused read shows nothing"

    start = served.town.began - timedelta(hours=2)
    client.get(f"{API}/positions", params={"vehicle_id": ["V1", "V6"]}, headers={"Purpose": "collection"})
    client.get(f"{API}/tracks/V1", params={"from": start.isoformat()}, headers={"Purpose": "recovery"})
    client.get(f"{API}/stays", params={"vehicle_id": "V2"}, headers={"Purpose": "audit"})
    views = served.as_("auditor").get(f"{API}/audit").json()["items"]
    assert [(view["resource"], view["purpose"], view["vehicle_ids"]) for view in views] == [
        ("stays", "audit", ["V2"]), ("tracks", "recovery", ["V1"]), ("positions", "collection", ["V1", "V6"]),
    ]  # fmt: skip
    assert views[1]["range_from"].startswith(start.isoformat()[:19])
    assert all(view["ip"] == "127.0.0.1" and view["actor"].startswith("token:") for view in views)
    of_v1 = served.as_("auditor").get(f"{API}/audit", params={"vehicle_id": "V1"}).json()["items"]
    assert [view["resource"] for view in of_v1] == ["tracks", "positions"]


def signed_in(served: Served, role: str = "risk_analyst") -> httpx.Client:
    with served.town.connect() as conn:
        link = create_sign_in_link(conn, role)
    client = httpx.Client(base_url=served.base_url, follow_redirects=True, headers={"Accept": "text/html"})
    assert client.get(f"/sign-in/{link}").status_code == 200
    assert httpx.get(f"{served.base_url}/sign-in/{link}", headers={"Accept": "text/html"}).status_code == 401
    return client


@pytest.mark.db
def test_a_sign_in_link_works_once_and_its_cookie_is_strict(served: Served):
    with contextlib.closing(signed_in(served)) as client:
        cookie = next(iter(client.cookies.jar))
        rest = {name.lower() for name in cookie._rest}  # type: ignore[attr-defined]
        assert cookie.name == "pw_session"
        assert {"httponly", "samesite"} <= rest
        assert client.get(f"{API}/me").json()["roles"] == ["risk_analyst"]


@pytest.mark.db
def test_a_write_with_a_cookie_must_come_from_our_own_page(served: Served):
    with contextlib.closing(signed_in(served)) as client:
        alert_id = served.as_("admin").get(f"{API}/alerts").json()["items"][0]["id"]
        path = f"{API}/alerts/{alert_id}/acknowledge"
        page = client.get("/").text
        found = re.search(r'data-csrf="(\w{64})"', page)
        assert found is not None
        token = found[1]
        forged = [
            {}, {CSRF_HEADER: "0" * 64}, {CSRF_HEADER: token, "Sec-Fetch-Site": "cross-site"},
            {CSRF_HEADER: token, "Sec-Fetch-Site": "same-site"}, {CSRF_HEADER: token, "Origin": "http://evil.test"},
        ]  # fmt: skip
        for headers in forged:
            answer = client.post(path, headers=headers)
            assert (answer.status_code, answer.json()["code"]) == (403, "forged_request"), headers
        good = client.post(
            path, headers={CSRF_HEADER: token, "Sec-Fetch-Site": "same-origin", "Origin": served.base_url}
        )
        assert good.json()["work_state"] == "acknowledged"
        assert client.post("/sign-out", headers={CSRF_HEADER: token}).status_code == 200
        client.cookies.clear()


@pytest.mark.db
def test_a_password_opens_a_session_and_guessing_is_slowed_down(served: Served):
    with served.town.connect() as conn:
        create_user(conn, "anna", "correct horse 9", ["recovery"], org_id="east")
    with httpx.Client(base_url=served.base_url) as client:
        wrong = client.post("/sign-in", data={"login": "anna", "password": "wrong horse 9"})
        assert wrong.status_code == 401
        right = client.post("/sign-in", data={"login": " Anna ", "password": "correct horse 9"})
        assert (right.status_code, right.headers["location"]) == (303, "/")
        assert client.get(f"{API}/me").json()["org_ids"] == ["east"]
        foreign = client.post(
            "/sign-in",
            data={"login": "anna", "password": "correct horse 9"},
            headers={"Sec-Fetch-Site": "cross-site"},
        )
        assert foreign.status_code == 403
    for _ in range(5):
        assert (
            httpx.post(f"{served.base_url}/sign-in", data={"login": "anna", "password": "x"}).status_code
            == 401
        )
    braked = httpx.post(f"{served.base_url}/sign-in", data={"login": "anna", "password": "correct horse 9"})
    assert (braked.status_code, braked.json()["code"]) == (429, "sign_in_braked")
    assert int(braked.headers["Retry-After"]) > 0


@pytest.mark.db
def test_every_answer_carries_the_strict_policy_and_modules_their_type(served: Served):
    page = served.as_(None).get("/sign-in")
    policy = page.headers["Content-Security-Policy"]
    nonce = re.search(r"'nonce-([\w-]+)'", policy)
    assert nonce is not None
    assert f'nonce="{nonce[1]}"' in page.text
    assert policy.startswith("default-src 'none'; script-src 'self' 'nonce-")
    assert "unsafe" not in policy
    assert not re.search(r"<script(?![^>]*(src=|nonce=))|<style|\sstyle=|\son\w+=", page.text)
    module = served.as_(None).get("/static/vendor/maplibre-gl/maplibre-gl.mjs")
    if module.status_code == 404:
        pytest.skip("browser libraries are not installed (make setup)")
    assert module.headers["content-type"].startswith("text/javascript")
    assert served.as_(None).get("/static/app/live.js").headers["content-type"].startswith("text/javascript")
    assert served.as_(None).get("/static/vendor/../../pyproject.toml").status_code == 404
    assert served.as_(None).get("/static/app/%2e%2e/%2e%2e/texts.py").status_code == 404


@pytest.mark.db
def test_what_fails_is_a_problem_with_a_code(served: Served):
    client = served.as_("admin")
    missing = client.get(f"{API}/vehicles/none")
    assert missing.json() | {"instance": None} == {
        "type": "about:blank", "title": "Not Found", "status": 404, "code": "vehicle_not_found", "instance": None,
        "detail": "Expected a vehicle of your branches, there is no none", "facts": {}, "errors": [],
    }  # fmt: skip
    assert client.get(f"{API}/nothing").json()["code"] == "not_found"
    assert client.delete(f"{API}/vehicles").json()["code"] == "method_not_allowed"
    invalid = client.put(f"{API}/loans/L1", json={"vehicle_id": 7})
    assert (invalid.status_code, invalid.json()["code"]) == (422, "invalid_request")
    assert {fault["where"] for fault in invalid.json()["errors"]} == {
        "body.vehicle_id", "body.balance", "body.snapshot_at",
    }  # fmt: skip
    assert client.get(f"{API}/vehicles", params={"cursor": "rubbish"}).json()["code"] == "bad_cursor"
    assert client.get(f"{API}/vehicles", params={"q": "a\x00b"}).json()["code"] == "unusable_value"
