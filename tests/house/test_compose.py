"""The production stack: valid, pinned, waits for what it needs, and never starts with a default password."""

import os
import re
import shutil
import subprocess
from typing import Any

import pytest
import yaml

from tests.house.sources import ROOT

REQUIRED = {
    "PLEDGEWATCH_DB_PASSWORD": "x1",
    "PLEDGEWATCH_BROKER_PASSWORD": "x2",
    "PLEDGEWATCH_GATEWAY_PASSWORD": "x6",
    "PLEDGEWATCH_CONTACTS_KEY": "x3",
    "PLEDGEWATCH_WEBHOOK_SECRET": "x4",
    "PLEDGEWATCH_TLS_DIR": "./tls",
    "GRAFANA_PASSWORD": "x5",
}
PROGRAMS = {"migrate", "events", "ingest", "geofence", "alerts", "valuation", "auction", "api"}
IN_PROFILES = {"jt808", "vendor"}
"""Only with `--profile`: who has no such devices does not run it."""
needs_compose = pytest.mark.skipif(
    shutil.which("docker-compose") is None,
    reason="docker-compose is not installed (Debian package docker-compose)",
)


def compose(variables: dict[str, str], tmp_path: Any) -> subprocess.CompletedProcess[str]:
    """Run `docker-compose config`, which needs no engine, with exactly these variables and no .env."""
    empty = tmp_path / "empty.env"
    empty.touch()
    return subprocess.run(
        ["docker-compose", "--env-file", str(empty), "--file", str(ROOT / "docker-compose.yml"), "config"],
        env={"PATH": os.environ["PATH"], "HOME": str(tmp_path), **variables},
        capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip


def written() -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text(encoding="utf-8"))
    return loaded


def unpinned(services: dict[str, Any]) -> list[str]:
    """Images that move under us: no tag, or a tag without a full version. Our own is built here."""
    return [
        service["image"]
        for service in services.values()
        if "build" not in service and not re.fullmatch(r"[\w./-]+:v?\d+\.\d+\.\d+[\w.-]*", service["image"])
    ]


@needs_compose
def test_compose_accepts_the_file_and_runs_one_service_per_process(tmp_path):
    answer = compose(REQUIRED, tmp_path)
    assert answer.returncode == 0, answer.stderr
    services = yaml.safe_load(answer.stdout)["services"]
    # Version 1 of compose lists services of profiles here, version 2 does not.
    assert PROGRAMS | {"db", "broker", "prometheus", "grafana"} == set(services) - IN_PROFILES
    assert {name for name, service in written()["services"].items() if "profiles" in service} == IN_PROFILES


@needs_compose
@pytest.mark.parametrize("missing", sorted(REQUIRED))
def test_compose_refuses_to_start_without_a_secret_and_names_it(missing, tmp_path):
    for value in (None, ""):
        variables = {name: given for name, given in REQUIRED.items() if name != missing}
        if value is not None:
            variables[missing] = value
        answer = compose(variables, tmp_path)
        assert answer.returncode != 0
        assert f"set {missing} in .env" in answer.stderr


def test_nothing_that_looks_secret_has_a_default():
    text = (ROOT / "docker-compose.yml").read_text(encoding="utf-8")
    defaults = re.findall(r"\$\{(\w*(?:PASSWORD|SECRET|KEY|TOKEN)\w*):?-", text)
    assert defaults == []
    example = (ROOT / ".env.example").read_text(encoding="utf-8")
    assert re.findall(r"^(\w*(?:PASSWORD|SECRET|KEY|TOKEN)\w*=.+)$", example, re.MULTILINE) == []


def test_the_example_settings_name_everything_compose_asks_for():
    example = (ROOT / ".env.example").read_text(encoding="utf-8")
    asked = set(re.findall(r"\$\{(\w+)[:}]", (ROOT / "docker-compose.yml").read_text(encoding="utf-8")))
    named = set(re.findall(r"^#? ?(\w+)=", example, re.MULTILINE))
    assert asked - named - {"PLEDGEWATCH_VERSION"} == set()


def test_every_image_is_pinned_to_one_version():
    assert unpinned(written()["services"]) == []
    assert unpinned(
        {"a": {"image": "grafana/grafana:latest"}, "b": {"image": "redis"}, "c": {"image": "x:2"}}
    )


def test_programs_wait_for_a_healthy_database_and_finished_migrations():
    services = written()["services"]
    for name in sorted((PROGRAMS | IN_PROFILES) - {"migrate"}):
        waits = services[name]["depends_on"]
        assert waits["db"]["condition"] == "service_healthy", name
        assert waits["migrate"]["condition"] == "service_completed_successfully", name
    assert services["migrate"]["restart"] == "no"
    assert services["ingest"]["depends_on"]["broker"]["condition"] == "service_healthy"
    for name in ("db", "broker", "ingest", "api", "prometheus", "grafana"):
        assert services[name]["healthcheck"]["test"], name


def test_programs_run_without_privileges_on_a_read_only_system():
    services = written()["services"]
    for name in sorted(PROGRAMS | IN_PROFILES):
        assert services[name]["read_only"] is True, name
        assert services[name]["cap_drop"] == ["ALL"], name
    assert re.search(r"^USER pledgewatch$", (ROOT / "Dockerfile").read_text(encoding="utf-8"), re.MULTILINE)


@needs_compose
def test_every_ingest_slot_gets_a_worker(tmp_path):
    answer = compose({**REQUIRED, "PLEDGEWATCH_INGEST_SLOTS": "3"}, tmp_path)
    ingest = yaml.safe_load(answer.stdout)["services"]["ingest"]
    assert ingest["deploy"]["replicas"] == 3
    assert ingest["environment"]["PLEDGEWATCH_INGEST_SLOTS"] == "3"


def test_only_the_events_process_writes_the_brokers_accounts():
    services = written()["services"]
    writers = [name for name in sorted(PROGRAMS) if "PLEDGEWATCH_MQTT_PASSWORD_FILE" in str(services[name])]
    assert writers == ["events"]


def test_the_database_flushes_before_it_answers():
    command = written()["services"]["db"]["command"]
    assert "synchronous_commit=on" in command
    assert "fsync=on" in command


def test_the_configuration_mounted_into_the_broker_is_the_tested_one():
    mounts = written()["services"]["broker"]["volumes"]
    assert "./deploy/mosquitto:/mosquitto/config:ro" in mounts
    conf = (ROOT / "deploy" / "mosquitto" / "mosquitto.conf").read_text(encoding="utf-8")
    assert re.search(r"^allow_anonymous false$", conf, re.MULTILINE)
    assert re.search(r"^acl_file /mosquitto/config/acl$", conf, re.MULTILINE)
    assert re.search(r"^password_file /mosquitto/secrets/passwords$", conf, re.MULTILINE)
