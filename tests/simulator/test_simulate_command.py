"""`pledgewatch simulate` as people call it, and what it leaves in the registry."""

import csv
import json
import os
import subprocess
import sys

import msgspec
import pytest
from cryptography.fernet import Fernet

from collateral.contacts.cipher import ContactCipher
from collateral.provisioning import provision_fleet
from core.errors import NotFound, Rejected
from core.topics import default_shard
from pledgewatch import simulation
from pledgewatch.simulating import parse_duration_ms, parse_speed
from simulator.fleet.plan import FleetPlan
from simulator.publish.acklog import AckLog
from tests.fix_stack import eventually
from tests.simulator.listening import Listener

START_MS = 1_795_104_000_000
HOUR_MS = 3_600_000


def run(*arguments, cwd, **variables):
    environment = {**os.environ, **{f"PLEDGEWATCH_{name}": value for name, value in variables.items()}}
    return subprocess.run(
        [sys.executable, "-m", "pledgewatch", "simulate", *map(str, arguments)],
        cwd=cwd, env=environment, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip


def test_a_fleet_can_be_written_to_a_file_with_labels_and_a_map(tmp_path):
    done = run(
        "--vehicles", 20, "--incidents", 6, "--start", "2026-11-20T00:00:00+08:00", "--out", "t.csv.gz",
        "--labels", "l.csv", "--city", "c.json", "--json", cwd=tmp_path,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout.splitlines()[-1])["vehicles"] == 20
    with (tmp_path / "l.csv").open(newline="") as file:
        labels = list(csv.DictReader(file))
    assert list(labels[0]) == ["vehicle_id", "kind", "start", "end", "rule", "scope"]
    assert len({label["vehicle_id"] for label in labels}) == 6
    assert msgspec.json.decode((tmp_path / "c.json").read_bytes())["type"] == "FeatureCollection"


def test_registered_devices_publish_with_the_credentials_of_a_file(broker, tmp_path):
    plan = FleetPlan.scenario("quiet", 31, 3, START_MS, 2 * HOUR_MS)
    given = broker.add_users([device.device_id for device in plan.devices])
    with (tmp_path / "given.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("device_id", "shard", "username", "password"))
        writer.writerows((d, f"{default_shard(d):02x}", d, password) for d, password in given.items())
    listener = Listener(broker, session="command-listener")
    eventually(lambda: listener.subscribed, what="the subscription")
    done = run(
        "--vehicles", 3, "--seed", 31, "--scenario", "quiet", "--duration", "2h", "--speed", "max",
        "--start", "2026-11-19T16:00:00Z", "--no-provision", "--credentials", "given.csv",
        "--acklog", "a.csv", "--json", cwd=tmp_path, MQTT_URL=broker.ingest_url,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    summary = json.loads(done.stdout.splitlines()[-1])
    with (tmp_path / "a.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert summary["acknowledged"] == summary["sent"] == len(rows) > 0
    eventually(lambda: sum(listener.copies.values()) == len(rows), what="all reports")
    listener.close()


def test_wrong_use_is_told_apart_and_named(tmp_path, broker):
    assert run("--duration", "5x", cwd=tmp_path).returncode == 2
    assert run("--speed", "-3", cwd=tmp_path).returncode == 2
    done = run("--no-provision", "--start", "2026-11-20T00:00:00Z", cwd=tmp_path, MQTT_URL=broker.ingest_url)
    assert done.returncode == 2
    assert "--credentials" in done.stderr


def test_speeds_and_durations_are_read_as_people_write_them():
    assert parse_duration_ms("1.5h") == 5_400_000
    assert parse_speed("") is None
    assert parse_speed("600") == 600.0
    assert parse_speed("max") == float("inf")
    for text in ("nan", "inf", "0", "fast"):
        with pytest.raises(Rejected, match="--speed"):
            parse_speed(text)


def test_a_plan_becomes_vehicles_loans_devices_and_fences_in_the_registry(db):
    plan = FleetPlan.scenario("day", 32, 30, START_MS, 24 * HOUR_MS)
    cipher = ContactCipher(Fernet.generate_key().decode())
    given = provision_fleet(db, simulation.registry_fleet(plan), cipher=cipher)
    assert {credential.device_id for credential in given} == {device.device_id for device in plan.devices}
    stored = simulation.put_fences_in_force(db, plan, now_ms=START_MS)
    assert stored == 1 + 2 + 1 + 1 + 1 + 8
    assert simulation.put_fences_in_force(db, plan, now_ms=START_MS) == 0
    rows = db.execute("SELECT fence_id, category FROM fence").fetchall()
    scopes = {
        label.scope for label in plan.labels() if label.rule in {"RISK_PLACE_VISIT", "LEFT_ALLOWED_REGION"}
    }
    assert scopes <= {fence_id for fence_id, _ in rows}
    assert provision_fleet(db, simulation.registry_fleet(plan), cipher=cipher)


def test_credentials_files_are_judged_by_line(tmp_path):
    path = tmp_path / "c.csv"
    path.write_text("device_id,shard,username,password\nd1,3f,d1,x\nd2,40,d2,y\n")
    with pytest.raises(Rejected, match="line 3"):
        simulation.read_credentials(path)
    path.write_text("device_id,shard,username,password\nd1,2a,d1,x\n")
    assert [c.shard for c in simulation.read_credentials(path)] == [42]
    path.write_text("device_id,username,password\n")
    with pytest.raises(Rejected, match="shard"):
        simulation.read_credentials(path)
    with pytest.raises(NotFound):
        simulation.read_credentials(tmp_path / "absent.csv")


def test_an_acknowledged_report_is_in_the_log_before_anything_is_closed(tmp_path):
    report = next(FleetPlan.scenario("quiet", 33, 1, START_MS, HOUR_MS).reports())
    log = AckLog(tmp_path / "a.csv")
    log.record([report], 0)
    log.record([report], None)
    lines = (tmp_path / "a.csv").read_text().splitlines()
    assert lines[1] == f"{report.device_id},{report.boot_id},{report.seq},{report.sha256},0"
    assert lines[2].endswith(f"{report.sha256},")
    log.close()
    again = AckLog(tmp_path / "a.csv")
    again.record([report], 16)
    again.close()
    assert (tmp_path / "a.csv").read_text().splitlines()[3:] == [lines[1][:-1] + "16"]
