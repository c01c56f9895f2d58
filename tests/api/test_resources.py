"""Each resource over real HTTP and a real database."""

from __future__ import annotations

from datetime import timedelta

import pytest

from tests.fix_api import Served

pytestmark = pytest.mark.db

API = "/api/v1"


def test_health_says_what_was_looked_at(served: Served):
    assert served.as_(None).get("/health/live").json() == {"status": "ok"}
    ready = served.as_(None).get("/health/ready")
    assert ready.status_code == 200
    assert ready.json()["storage_mode"] in {"plain", "timescaledb"}
    assert ready.json()["migrations_missing"] == []
    metrics = served.as_(None).get("/metrics").text
    assert 'pledgewatch_alerts_open{severity="P1"} 1.0' in metrics
    assert "pledgewatch_devices_heard 8.0" in metrics


def test_positions_are_the_newest_of_each_vehicle_with_their_age(served: Served):
    page = served.as_("admin").get(f"{API}/positions").json()
    assert [item["vehicle_id"] for item in page["items"]] == [f"V{n}" for n in range(1, 9)]
    assert page["next"] is None
    first = page["items"][0]
    assert set(first) >= {
        "vehicle_id", "device_id", "t", "lat", "lon", "speed_kmh", "ignition", "age_s", "accuracy_m",
    }  # fmt: skip
    assert 55 <= first["age_s"] <= 120
    assert first["plate"] == "皖A00001"


def test_lists_go_on_where_the_page_before_ended(served: Served):
    client = served.as_("admin")
    seen, cursor = [], None
    while True:
        page = client.get(
            f"{API}/vehicles", params={"limit": 3} | ({"cursor": cursor} if cursor else {})
        ).json()
        seen += [item["vehicle_id"] for item in page["items"]]
        cursor = page["next"]
        if cursor is None:
            break
    assert seen == [f"V{n}" for n in range(1, 9)]


def test_a_track_holds_the_fixes_of_its_range_alone(served: Served):
    now = served.town.began
    answer = served.as_("admin").get(
        f"{API}/tracks/V2",
        params={"from": (now - timedelta(minutes=25)).isoformat(), "to": now.isoformat()},
    )
    track = answer.json()
    assert [fix["device_id"] for fix in track["fixes"]] == ["D2"] * 3
    assert track["total"] == 3
    assert not track["truncated"]
    bad = served.as_("admin").get(f"{API}/tracks/V2", params={"from": now.isoformat(), "to": now.isoformat()})
    assert (bad.status_code, bad.json()["code"]) == (400, "bad_range")


def test_a_vehicle_shows_its_loan_and_worst_alert(served: Served):
    vehicle = served.as_("admin").get(f"{API}/vehicles/V1").json()
    assert vehicle["loan"]["balance"] == {"amount_minor": 8_000_000, "currency": "CNY"}
    assert vehicle["loan"]["days_past_due"] == 34
    assert (vehicle["open_alerts"], vehicle["worst_severity"]) == (1, "P1")


def test_an_alert_is_worked_on_from_new_to_a_closed_case(served: Served):
    client = served.as_("recovery")
    alert = client.get(f"{API}/alerts", params={"live": True, "severity": "P1"}).json()["items"][0]
    assert set(alert) >= {
        "id", "vehicle_id", "rule", "scope", "severity", "condition", "work_state", "first_seen", "last_seen",
        "count", "late_by_s", "evidence",
    }  # fmt: skip
    assert (alert["rule"], alert["work_state"], alert["plate"]) == ("RISK_PLACE_VISIT", "new", "皖A00001")
    done = client.post(f"{API}/alerts/{alert['id']}/acknowledge", json={"version": alert["version"]})
    assert done.json()["work_state"] == "acknowledged"
    stale = client.post(
        f"{API}/alerts/{alert['id']}/resolve", json={"reason": "seen", "version": alert["version"]}
    )
    assert (stale.status_code, stale.json()["code"]) == (409, "version_changed")

    case = client.post(f"{API}/cases", json={"alert_id": alert["id"]})
    assert case.status_code == 201
    case_id = case.json()["id"]
    note = client.post(f"{API}/cases/{case_id}/notes", json={"text": "车在二押点门口"})
    assert note.status_code == 201
    kinds = [entry["kind"] for entry in client.get(f"{API}/cases/{case_id}").json()["entries"]]
    assert kinds == ["opened", "note"]
    closed = client.post(f"{API}/cases/{case_id}/close", json={"reason": "已收车入库"})
    assert closed.json()["state"] == "closed"
    history = client.get(f"{API}/alerts/{alert['id']}/history").json()["items"]
    assert [event["kind"] for event in history][-2:] == ["acknowledged", "case_opened"]


def test_a_call_is_recorded_in_its_case_and_refused_outside_hours(served: Served):
    client = served.as_("recovery")
    alert = client.get(f"{API}/alerts", params={"severity": "P1"}).json()["items"][0]
    case_id = client.post(f"{API}/cases", json={"alert_id": alert["id"]}).json()["id"]
    contact = client.get(f"{API}/contacts", params={"party_id": "P1"}).json()["items"][0]
    assert "value" not in contact
    shown = client.post(
        f"{API}/contacts/{contact['id']}/reveal", json={"case_id": case_id}, headers={"Purpose": "collection"}
    )
    assert shown.json()["value"].endswith("13800138001")
    looks = served.as_("auditor").get(f"{API}/contacts/reveals", params={"party_id": "P1"}).json()["items"]
    assert [(look["purpose"], look["case_id"]) for look in looks] == [("collection", case_id)]

    call = {
        "party_id": "P1", "channel": "call", "purpose": "collection", "outcome": "promised", "case_id": case_id,
        "promise_on": "2026-12-01", "promise": {"amount_minor": 150000, "currency": "CNY"}, "note": "答应下周还",
    }  # fmt: skip
    night = client.post(f"{API}/contacts/attempts", json=call | {"attempted_at": "2026-11-20T18:30:00Z"})
    assert (night.status_code, night.json()["code"]) == (409, "outside_contact_hours")
    day = client.post(f"{API}/contacts/attempts", json=call | {"attempted_at": "2026-11-20T06:30:00Z"})
    assert day.status_code == 201
    assert day.json()["promise"] == {"amount_minor": 150000, "currency": "CNY"}
    entries = client.get(f"{API}/cases/{case_id}").json()["entries"]
    assert [entry["kind"] for entry in entries] == ["opened", "contact"]
    assert entries[1]["facts"]["outcome"] == "promised"


def test_a_loan_snapshot_and_a_payment_change_the_balance_once(served: Served):
    client = served.as_("service")
    body = {
        "vehicle_id": "V3", "balance": {"amount_minor": 5_000_000, "currency": "CNY"},
        "snapshot_at": served.town.began.isoformat(), "days_past_due": 3, "collateral_form": "pledge",
    }  # fmt: skip
    stored = client.put(f"{API}/loans/L3", json=body)
    assert stored.headers["Snapshot-Applied"] == "true"
    assert (stored.json()["days_past_due"], stored.json()["collateral_form"]) == (3, "pledge")
    old = body | {"snapshot_at": (served.town.began - timedelta(days=9)).isoformat(), "days_past_due": 77}
    assert client.put(f"{API}/loans/L3", json=old).headers["Snapshot-Applied"] == "false"
    payment = {
        "payment_id": "pay-1", "amount": {"amount_minor": 1_000_000, "currency": "CNY"},
        "paid_at": (served.town.began + timedelta(seconds=1)).isoformat(), "days_past_due": 0,
    }  # fmt: skip
    first = client.post(f"{API}/loans/L3/payments", json=payment).json()
    again = client.post(f"{API}/loans/L3/payments", json=payment).json()
    assert (first["recorded"], again["recorded"]) == (True, False)
    assert again["loan"]["balance"]["amount_minor"] == 4_000_000
    assert again["loan"]["days_past_due"] == 0
    kinds = {event["kind"] for event in client.get(f"{API}/events").json()["items"]}
    assert "loan.changed" in kinds


def test_a_repeated_command_with_its_key_is_done_once(served: Served):
    client = served.as_("device_manager")
    command = {"device_id": "D900", "vehicle_id": "V8", "power": "wireless"}
    key = {"Idempotency-Key": "install-17"}
    first = client.post(f"{API}/devices", json=command, headers=key)
    again = client.post(f"{API}/devices", json=command, headers=key)
    assert (first.status_code, again.status_code) == (201, 201)
    assert again.headers["Idempotent-Replay"] == "true"
    assert again.json()["device_id"] == "D900"
    assert first.json()["password"]
    assert again.json()["password"] == "", "a password is told once and never stored"
    other = client.post(f"{API}/devices", json=command | {"device_id": "D901"}, headers=key)
    assert (other.status_code, other.json()["code"]) == (409, "idempotency_key_reused")
    without = client.post(f"{API}/devices", json=command)
    assert (without.status_code, without.json()["code"]) == (409, "device_exists")


def test_an_edit_needs_the_version_it_was_made_from(served: Served):
    client = served.as_("admin")
    etag = client.get(f"{API}/vehicles/V2").headers["ETag"]
    assert client.put(f"{API}/vehicles/V2", json={"colour": "白"}).status_code == 428
    edited = client.put(f"{API}/vehicles/V2", json={"colour": "白"}, headers={"If-Match": etag})
    assert edited.json()["colour"] == "白"
    late = client.put(f"{API}/vehicles/V2", json={"colour": "黑"}, headers={"If-Match": etag})
    assert (late.status_code, late.json()["code"]) == (412, "stale_version")
    fresh = client.put(f"{API}/vehicles/V77", json={"plate": "皖A00077"})
    assert fresh.status_code == 200


def test_fences_are_imported_and_listed_as_geojson(served: Served):
    client = served.as_("risk_analyst")
    feature = {
        "type": "Feature", "id": "yard-1", "properties": {"name": "一号库"},
        "geometry": {"type": "Polygon", "coordinates": [[[117.9, 30.2], [117.91, 30.2], [117.91, 30.21], [117.9, 30.2]]]},
    }  # fmt: skip
    bad = {
        "type": "Feature",
        "id": "x",
        "properties": {},
        "geometry": {"type": "Polygon", "coordinates": [[[0, 99]]]},
    }
    done = client.post(
        f"{API}/fences",
        params={"category": "yard"},
        json={"type": "FeatureCollection", "features": [feature, bad]},
    )
    assert done.status_code == 201
    assert done.json()["added"] == ["yard-1"]
    assert len(done.json()["refused"]) == 1
    listed = {fence["id"]: fence for fence in client.get(f"{API}/fences").json()["items"]}
    assert listed["yard-1"]["geometry"]["type"] == "Polygon"
    assert listed["pawn-1"]["radius_m"] == 200
    wrong = client.post(
        f"{API}/fences", params={"category": "moon"}, json={"type": "FeatureCollection", "features": []}
    )
    assert (wrong.status_code, wrong.json()["code"]) == (400, "bad_category")
    useless = client.post(
        f"{API}/fences", params={"category": "yard"}, json={"type": "FeatureCollection", "features": [bad]}
    )
    assert (useless.status_code, useless.json()["code"]) == (400, "no_usable_fence")
    assert "feature 1 (x)" in useless.json()["facts"]["refused"][0]


def test_consent_is_given_and_taken_back(served: Served):
    client = served.as_("service")
    body = {
        "party_id": "P2", "vehicle_id": "V2", "text_version": "2026-01", "text_sha256": "ab" * 32,
        "purposes": ["recovery", "collection"], "signer": "抵押人02", "channel": "e_signature",
        "given_at": "2026-11-01T02:00:00Z",
    }  # fmt: skip
    given = client.post(f"{API}/consents", json=body)
    assert given.status_code == 201
    assert client.post(f"{API}/consents", json=body).json()["id"] == given.json()["id"]
    taken = client.post(f"{API}/consents/{given.json()['id']}/revoke", json={"how": "来电"})
    assert taken.json()["revoked_at"] is not None
    assert len(client.get(f"{API}/consents", params={"vehicle_id": "V2"}).json()["items"]) == 1
