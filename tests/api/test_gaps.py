"""Gaps of a device: in the API, on the page of its vehicle, and on the command line."""

import json
from datetime import timedelta

import pytest
from typer.testing import CliRunner

from core.db.pool import connect
from core.telemetry.gaps import reader, store
from ingest.slots import store as slots
from pledgewatch.cli import app


@pytest.fixture
def holes(town):
    """D1 lacks 2, 5 to 6; what it lacked at 8 came late. D2 counts in no order."""
    with connect(town.database_url, name="holes", autocommit=True) as conn:
        for numbers in ((1, 3, 4, 7, 9), (8,)):
            with conn.transaction():
                store.log_known(conn, [("D1", 5, n, town.began + timedelta(seconds=n)) for n in numbers])
            reader.catch_up(conn, town.began)
        with conn.transaction():
            store.log_known(conn, [("D2", 1, 1, town.began)])
        reader.catch_up(conn, town.began)
        with conn.transaction():
            store.give_up(conn, ("D2", 1), town.began)
    return town


def test_gaps_are_listed_newest_first_and_in_pages(holes, served):
    client = served.as_("device_manager")
    first = client.get("/api/v1/devices/D1/gaps", params={"limit": 1}).json()
    assert [(gap["from_seq"], gap["to_seq"], gap["missing"], gap["state"]) for gap in first["items"]] == [
        (5, 6, 2, "open")
    ]
    rest = client.get("/api/v1/devices/D1/gaps", params={"cursor": first["next"]}).json()
    assert [(gap["from_seq"], gap["missing"]) for gap in rest["items"]] == [(2, 1)]
    assert rest["next"] is None
    everything = client.get("/api/v1/devices/D1/gaps", params={"closed": True}).json()["items"]
    assert sorted((gap["from_seq"], gap["state"]) for gap in everything) == [
        (2, "open"), (5, "open"), (8, "closed"),
    ]  # fmt: skip
    assert client.get("/api/v1/devices/NOBODY/gaps").status_code == 404


def test_the_page_of_a_vehicle_shows_the_gaps_of_its_devices(holes, served):
    client = served.as_("device_manager")
    page = client.get("/vehicles/V1?tab=devices").text
    assert "5–6" in page
    assert "数据缺口" in page
    assert "不连续递增" in client.get("/vehicles/V2?tab=devices").text


def test_the_command_reads_what_has_arrived_and_tells_what_is_missing(holes, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PLEDGEWATCH_DATABASE_URL", holes.database_url)
    monkeypatch.setenv("PLEDGEWATCH_MQTT_URL", "mqtt://127.0.0.1:9")
    with connect(holes.database_url, name="more", autocommit=True) as conn:
        store.log_known(conn, [("D1", 5, 12, holes.began)])
    result = CliRunner().invoke(app, ["ingest", "gaps", "--device", "D1", "--json"])
    told = json.loads(result.stdout.splitlines()[-1])
    assert (told["open"], told["missing"], told["devices"], told["overdue"]) == (3, 5, 1, 0)
    assert [(gap["from_seq"], gap["to_seq"]) for gap in told["items"]] == [(10, 11), (5, 6), (2, 2)]
    assert "10..11" in CliRunner().invoke(app, ["ingest", "gaps"]).stdout


def test_readiness_and_metrics_name_the_slot_that_needs_somebody(holes, served):
    with connect(holes.database_url, name="slots") as conn:
        lease = slots.lease_free_slot(conn, 1, "worker")
        assert lease is not None
        slots.renew(conn, lease, slots.SlotFigures(connected=True, lag_s=99.0, retries=3, batch_reports=12.5))
    client = served.as_(None)
    ready = client.get("/health/ready")
    (behind,) = ready.json()["slots_behind"]
    assert (ready.status_code, behind["slot"], behind["state"]) == (200, 0, "behind")
    assert "99 s" in behind["why"]
    figures = client.get("/metrics").text
    assert 'pledgewatch_slot_good{slot="0",state="behind"} 0.0' in figures
    assert 'pledgewatch_slot_lag_seconds{slot="0"} 99.0' in figures
    assert 'pledgewatch_slot_batch_reports{slot="0"} 12.5' in figures
    assert "pledgewatch_gaps_open 2.0" in figures
    assert "pledgewatch_gaps_missing_reports 3.0" in figures
