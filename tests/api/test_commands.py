"""Commands to devices over HTTP: who may ask what, what is on record, and the panel on the vehicle's page."""

from __future__ import annotations

import contextlib
import html
import re
from uuid import uuid4

import httpx
import pytest

from collateral.staff.access import create_token
from tests.api.test_pages import signed_in
from tests.fix_api import Served

pytestmark = pytest.mark.db

API = "/api/v1"
TRACK: dict[str, object] = {"kind": "track", "params": {"interval_s": 10, "duration_s": 600}}


def test_a_command_is_queued_once_for_a_purpose_by_those_who_may_and_is_on_record(served: Served):
    recovery, manager = served.as_("recovery"), served.as_("device_manager")
    headers = {"Purpose": "recovery", "Idempotency-Key": "tonight"}
    first = recovery.post(f"{API}/devices/D1/commands", json={"kind": "locate"}, headers=headers)
    assert first.status_code == 201, first.text
    command = first.json()
    assert (command["state"], command["vehicle_id"], command["purpose"]) == ("queued", "V1", "recovery")
    again = recovery.post(f"{API}/devices/D1/commands", json={"kind": "locate"}, headers=headers)
    assert again.json() == command
    assert again.headers["Idempotent-Replay"] == "true"
    tracking = recovery.post(f"{API}/devices/D1/commands", json=TRACK, headers={"Purpose": "recovery"}).json()
    assert tracking["params"] == TRACK["params"]

    refused: list[tuple[httpx.Client, str, dict[str, object], dict[str, str], int, str]] = [
        (recovery, "D1", {"kind": "reboot"}, {"Purpose": "support"}, 403, "command_not_yours"),
        (recovery, "D1", TRACK, {"Purpose": "collection"}, 403, "purpose_not_enough"),
        (recovery, "D1", {"kind": "locate"}, {"Purpose": ""}, 400, "purpose_required"),
        (manager, "D1", TRACK, {"Purpose": "recovery"}, 403, "command_not_yours"),
        (served.as_("auditor"), "D1", {"kind": "locate"}, {}, 403, "forbidden"),
        (served.as_("bidder"), "D1", {"kind": "locate"}, {}, 403, "forbidden"),
        (manager, "ghost", {"kind": "reboot"}, {}, 404, "device_not_found"),
        (manager, "D1", {"kind": "interval"}, {}, 400, "bad_command_params"),
        (manager, "D1", {"kind": "reboot", "params": {"hard": 1}}, {}, 400, "bad_command_params"),
    ]
    for client, device, body, purpose, status, code in refused:
        answer = client.post(f"{API}/devices/{device}/commands", json=body, headers=purpose)
        assert (answer.status_code, answer.json()["code"]) == (status, code), (body, answer.text)

    looks = served.as_("auditor").get(f"{API}/audit", params={"vehicle_id": "V1"}).json()["items"]
    assert [(look["resource"], look["purpose"]) for look in looks] == [
        ("commands/track", "recovery"), ("commands/locate", "recovery"),
    ]  # fmt: skip
    assert manager.post(f"{API}/commands/{command['id']}/cancel").json()["state"] == "cancelled"
    over = recovery.post(f"{API}/commands/{command['id']}/cancel")
    assert (over.status_code, over.json()["code"]) == (409, "command_over")
    listed = manager.get(f"{API}/commands", params={"device_id": "D1"}).json()["items"]
    assert [item["state"] for item in listed] == ["queued", "cancelled"]
    waiting = manager.get(f"{API}/commands", params={"state": "queued"}).json()["items"]
    assert [item["id"] for item in waiting] == [tracking["id"]]


def test_another_branch_neither_commands_nor_sees_nor_takes_back(served: Served):
    command = served.as_("device_manager").post(f"{API}/devices/D1/commands", json={"kind": "reboot"}).json()
    with served.town.connect() as conn:
        served.town.tokens["west_recovery"] = create_token(conn, "recovery", org_id="west")
    west = served.as_("west_recovery")
    for method, path, body in (
        ("POST", "/devices/D1/commands", {"kind": "locate"}),
        ("GET", f"/commands/{command['id']}", None),
        ("POST", f"/commands/{command['id']}/cancel", None),
        ("GET", f"/commands/{uuid4()}", None),
    ):
        assert west.request(method, API + path, json=body).status_code == 404, path
    assert west.get(f"{API}/commands").json()["items"] == []
    assert west.post(f"{API}/devices/D7/commands", json={"kind": "locate"}).status_code == 201


def test_the_panel_offers_what_the_role_may_ask_and_shows_how_far_it_came(served: Served):
    with contextlib.closing(signed_in(served, "recovery")) as client:
        client.cookies.set("pw_purpose", "recovery")
        page = client.get("/vehicles/V1?tab=devices")
        assert page.status_code == 200, page.text
        assert "立即定位" in page.text
        assert "追踪模式" in page.text
        assert "重启设备" not in page.text
        found = re.search(r'"X-CSRF-Token": ?"([^"]+)"', html.unescape(page.text))
        assert found is not None
        headers = {"X-CSRF-Token": found[1]}
        path, told = "/vehicles/V1/devices/D1/command", {"kind": "track", "interval_s": "10"}
        asked = client.post(path, data=told | {"duration_s": "600"}, headers=headers)
        assert asked.status_code == 200, asked.text
        assert "待下发" in asked.text
        assert "撤回" in asked.text
        wrong = client.post(path, data=told | {"duration_s": "soon"}, headers=headers)
        assert wrong.status_code == 400
