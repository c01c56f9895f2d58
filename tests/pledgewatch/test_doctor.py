"""Doctor says what it found and shows no secret."""

from __future__ import annotations

import io
import json
import socket
from pathlib import Path

import pytest
from pydantic import SecretStr
from rich.console import Console

from core.settings import Settings
from pledgewatch.embedded import mosquitto, node
from pledgewatch.embedded.doctor import Diagnosis, examine
from pledgewatch.embedded.findings import Check
from pledgewatch.embedded.masking import destinations, masked
from pledgewatch.embedded.state import secret
from tests.fix_stack import BrokerUnderTest


def settings_for(tmp_path: Path, **values) -> Settings:
    return Settings(_env_file=None, data_dir=tmp_path / "data", http_port=0, **values)


def line(diagnosis: Diagnosis, part: str) -> Check:
    found = [check for check in diagnosis.checks if check.part == part]
    assert found, [check.part for check in diagnosis.checks]
    return found[0]


def test_everything_is_looked_at_and_the_result_is_json(tmp_path: Path):
    diagnosis = examine(settings_for(tmp_path))
    told = json.loads(json.dumps(diagnosis.as_dict()))
    assert {check["part"] for check in told["checks"]} >= {
        "Python", "PostgreSQL", "TimescaleDB", "MQTT broker", "Node", "browser libraries", "browser for tests",
        "DATA_DIR", "disk space", "secrets",
    }  # fmt: skip
    assert told["settings"]["PLEDGEWATCH_DATA_DIR"] == str(tmp_path / "data")


def test_a_running_database_is_asked_for_its_version(tmp_path: Path, postgres_server: str):
    check = line(examine(settings_for(tmp_path, database_url=postgres_server)), "PostgreSQL")
    assert check.verdict == "ok"
    assert "PLEDGEWATCH_DATABASE_URL" in check.found


def test_a_database_that_does_not_answer_makes_it_unhealthy(tmp_path: Path):
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        port = closed.getsockname()[1]
        url = f"postgresql://me:very-secret@127.0.0.1:{port}/x"
        diagnosis = examine(settings_for(tmp_path, database_url=url))
    assert not diagnosis.healthy
    assert line(diagnosis, "PostgreSQL").verdict == "missing"
    assert "very-secret" not in json.dumps(diagnosis.as_dict())


def test_a_broker_is_tried_with_its_account(tmp_path: Path, broker: BrokerUnderTest):
    good = line(examine(settings_for(tmp_path, mqtt_url=broker.ingest_url)), "MQTT broker")
    assert good.verdict == "ok"
    wrong = broker.ingest_url.replace(broker.ingest_password, "wrong")
    bad = line(examine(settings_for(tmp_path, mqtt_url=wrong)), "MQTT broker")
    assert bad.verdict == "missing"
    assert "refused" in bad.found


@pytest.mark.skipif(node.find_node() is None or node.aedes_version() is None, reason="aedes is not installed")
def test_the_fallback_broker_is_named_with_its_differences(tmp_path: Path, monkeypatch):
    monkeypatch.setattr(mosquitto, "find_mosquitto", lambda: None)
    check = line(examine(settings_for(tmp_path)), "MQTT broker")
    assert check.verdict == "note"
    assert "memory only" in check.found
    assert check.fix == "install mosquitto"


def test_a_secret_that_others_can_read_is_a_fault(tmp_path: Path):
    settings = settings_for(tmp_path)
    settings.data_dir.mkdir()
    secret(settings.data_dir, "some_secret")
    assert line(examine(settings), "secrets").verdict == "ok"
    (settings.data_dir / "secrets" / "some_secret").chmod(0o644)
    check = line(examine(settings), "secrets")
    assert check.verdict == "missing"
    assert "some_secret" in check.found
    assert check.fix.startswith("chmod")


def test_a_busy_page_port_is_told_with_its_variable(tmp_path: Path):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        settings = settings_for(tmp_path)
        settings.http_port = taken.getsockname()[1]
        check = line(examine(settings), "port of the page")
    assert check.verdict == "note"
    assert "PLEDGEWATCH_HTTP_PORT" in check.fix


def test_a_folder_that_cannot_be_made_is_a_line_not_a_crash(tmp_path: Path):
    (tmp_path / "data").write_text("a file where the folder should be")
    diagnosis = examine(settings_for(tmp_path))
    assert not diagnosis.healthy
    assert any("PLEDGEWATCH_DATA_DIR" in check.found for check in diagnosis.checks)


def test_no_secret_is_shown(tmp_path: Path):
    diagnosis = examine(
        settings_for(
            tmp_path,
            mqtt_url="mqtts://ingest:hidden-1@broker:8883",
            contacts_key=SecretStr("hidden-2"),
            notify_urls="slack://hidden-3/hidden-4,https://hooks.example/hidden-5",
            map_tile_url="https://tiles.example/{z}/{x}/{y}?key=hidden-6",
        )
    )
    console = Console(width=200, file=io.StringIO())
    for table in diagnosis.tables():
        console.print(table)
    shown = console.file.getvalue() + json.dumps(diagnosis.as_dict(), ensure_ascii=False)  # type: ignore[attr-defined]
    assert "hidden-" not in shown
    assert "slack://…" in shown
    assert diagnosis.settings["PLEDGEWATCH_MQTT_URL"] == "mqtts://ingest:…@broker:8883"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("postgresql://a:b@h:1/d?sslpassword=x", "postgresql://a:…@h:1/d?…"),
        ("host=h user=u password='a b' dbname=d", "host=h user=u password=… dbname=d"),
        ("postgresql://a@h/d", "postgresql://a@h/d"),
        ("", ""),
    ],
)
def test_a_password_in_a_url_or_keyword_is_hidden(text: str, shown: str):
    assert masked(text) == shown


def test_destinations_show_kinds_only():
    assert destinations("tgram://token/chat, mailto://u:p@h") == "tgram://…, mailto://…"
