"""The commands as a shell sees them: exit code, stdout, stderr; on a database of the test's own."""

import json
import os
import re
import subprocess
import sys

import pytest

from core import topics
from core.db.pool import connect
from core.mqtt_passwords import verify_mosquitto_password
from pledgewatch.cli import COMMANDS
from pledgewatch.demo import open_yards


@pytest.fixture
def passwords(tmp_path):
    return tmp_path / "passwords"


@pytest.fixture
def pledgewatch(database_url, tmp_path, passwords):
    environment = {
        **{key: value for key, value in os.environ.items() if not key.startswith("PLEDGEWATCH_")},
        "PLEDGEWATCH_DATABASE_URL": database_url,
        "PLEDGEWATCH_DATA_DIR": str(tmp_path / "data"),
        "PLEDGEWATCH_MQTT_PASSWORD_FILE": str(passwords),
    }

    def run(*arguments, stdin="", **extra):
        return subprocess.run(
            [sys.executable, "-m", "pledgewatch", *arguments],
            input=stdin, capture_output=True, text=True, env={**environment, **extra}, timeout=120, check=False,
        )  # fmt: skip

    return run


def test_device_add_prints_the_credential_that_the_broker_then_knows(pledgewatch, passwords):
    added = pledgewatch("device", "add", "868120303960871", "--vehicle", "LSVAU218XN2183294", "--json")
    assert added.returncode == 0, added.stderr
    given = json.loads(added.stdout.splitlines()[-1])
    assert set(given) == {"device_id", "shard", "username", "password"}
    topic = topics.parse(f"pw/v1/{given['shard']}/868120303960871/telemetry")
    assert topic.shard == topics.default_shard("868120303960871")
    username, _, password_hash = passwords.read_text().strip().partition(":")
    assert username == given["username"] == "868120303960871"
    assert verify_mosquitto_password(given["password"], password_hash)


def test_rotate_and_revoke_reach_the_password_file(pledgewatch, passwords):
    pledgewatch("device", "add", "d1")
    before = passwords.read_text()
    rotated = pledgewatch("device", "rotate", "d1", "--json")
    assert json.loads(rotated.stdout)["username"] == "d1"
    assert passwords.read_text() != before
    assert pledgewatch("device", "revoke", "d1").returncode == 0
    assert passwords.read_text() == ""
    assert json.loads(pledgewatch("broker", "sync", "--json").stdout) == {"devices": 0, "published": True}


def test_work_that_fails_exits_with_one_and_wrong_use_with_two(pledgewatch):
    unknown = pledgewatch("device", "rotate", "ghost")
    assert unknown.returncode == 1
    assert "device_not_found" in unknown.stderr
    for wrong in (("device", "add", "a/b"), ("token", "create", "--role", "king"), ("token", "create")):
        refused = pledgewatch(*wrong)
        assert refused.returncode == 2, wrong
        assert refused.stdout == ""


def test_token_create_prints_the_token_alone(pledgewatch, database_url):
    made = pledgewatch("token", "create", "--role", "service", "--name", "scoring")
    assert made.returncode == 0, made.stderr
    [token] = made.stdout.splitlines()
    assert token.startswith("pwt_")
    with connect(database_url, name="test") as conn:
        assert conn.execute("SELECT name, role, org_id FROM api_token").fetchall() == [
            ("scoring", "service", "head")
        ]


def test_user_create_reads_the_password_from_stdin_or_the_environment(pledgewatch, database_url):
    assert (
        pledgewatch("user", "create", "anna", "--role", "recovery", stdin="from the pipe\n").returncode == 0
    )
    named = pledgewatch(
        "user", "create", "bert", "--role", "admin", PLEDGEWATCH_USER_PASSWORD="from a variable"
    )
    assert named.returncode == 0
    assert pledgewatch("user", "create", "carl", "--role", "admin", stdin="short\n").returncode == 2
    with connect(database_url, name="test") as conn:
        assert conn.execute("SELECT login FROM user_account ORDER BY 1").fetchall() == [("anna",), ("bert",)]


def test_a_database_without_the_schema_is_named_with_what_to_do(pledgewatch, empty_database_url):
    refused = pledgewatch("token", "create", "--role", "admin", PLEDGEWATCH_DATABASE_URL=empty_database_url)
    assert refused.returncode == 1
    assert "pledgewatch migrate" in refused.stderr


def test_a_file_is_imported_and_a_second_time_changes_nothing(pledgewatch, tmp_path):
    file = tmp_path / "车辆.csv"
    file.write_bytes("车架号,车牌号,心情\nLSVAU218XN2183294,沪A12345,好\n".encode("gb18030"))
    first = pledgewatch("import", "vehicles", str(file), "--json")
    assert first.returncode == 0, first.stderr
    assert "心情" in first.stderr
    assert json.loads(first.stdout.splitlines()[-1])["inserted"] == 1
    again = json.loads(pledgewatch("import", "vehicles", str(file), "--json").stdout.splitlines()[-1])
    assert (again["inserted"], again["updated"], again["unchanged"]) == (0, 0, 1)


def test_a_faulty_file_is_refused_by_line_and_exit_code(pledgewatch, tmp_path, database_url):
    file = tmp_path / "loans.csv"
    file.write_text("合同号,车架号,贷款余额,数据日期\nHT-1,nobody,1,2026-11-01\n", encoding="utf-8")
    refused = pledgewatch("import", "loans", str(file))
    assert refused.returncode == 1
    assert "line 2, 车架号" in refused.stderr
    assert "Nothing was imported" in refused.stderr
    assert pledgewatch("import", "loans", str(tmp_path / "nowhere.csv")).returncode == 2
    with connect(database_url, name="test") as conn:
        assert conn.execute("SELECT count(*) FROM loan").fetchone() == (0,)


def test_contacts_are_imported_under_the_deployments_key(pledgewatch, tmp_path, database_url):
    file = tmp_path / "contacts.csv"
    file.write_text("客户编号,手机号\nP1,13800138000\n", encoding="utf-8")
    assert pledgewatch("import", "contacts", str(file)).returncode == 0
    assert (tmp_path / "data" / "secrets" / "contacts_key").exists()
    with connect(database_url, name="test") as conn:
        stored = conn.execute("SELECT ciphertext FROM contact").fetchone()
    assert stored is not None
    assert b"13800138000" not in stored[0]


def test_a_token_can_be_made_for_a_branch_once_the_branch_is_there(pledgewatch):
    assert pledgewatch("token", "create", "--role", "recovery", "--org", "east").returncode == 1
    assert pledgewatch("org", "save", "east", "华东分公司").returncode == 0
    assert pledgewatch("org", "list").stdout.splitlines() == ["east\thead\t华东分公司", "head\t-\t总部"]
    assert pledgewatch("token", "create", "--role", "recovery", "--org", "east").returncode == 0


def test_a_yard_is_saved_changed_and_listed(pledgewatch):
    where = ("--lat", "30.25", "--lon", "117.95")
    assert pledgewatch("yard", "save", "north", "城北车库", *where).returncode == 0
    assert (
        pledgewatch("yard", "save", "north", "城北二库", *where, "--address", "城北路 1 号").returncode == 0
    )
    listed = pledgewatch("yard", "list").stdout.splitlines()
    assert listed == ["north\thead\t30.250000\t117.950000\t城北二库\t城北路 1 号"]
    for wrong in (
        ("no rth", *where),
        ("east", "--lat", "95", "--lon", "0"),
        ("east", *where, "--org", "nowhere"),
    ):
        refused = pledgewatch("yard", "save", wrong[0], "城东车库", *wrong[1:])
        assert refused.returncode in {1, 2}, wrong
        assert "Traceback" not in refused.stderr
    assert len(pledgewatch("yard", "list").stdout.splitlines()) == 1


def test_the_yards_of_the_demo_are_there_from_its_start_and_keep_what_an_operator_changed(
    database_url, pledgewatch
):
    open_yards(database_url)
    yard_id = pledgewatch("yard", "list").stdout.split("\t")[0]
    pledgewatch("yard", "save", yard_id, "我的车库", "--lat", "30", "--lon", "118")
    open_yards(database_url)
    assert "我的车库" in pledgewatch("yard", "list").stdout


def test_the_help_lists_every_command_by_its_name(pledgewatch):
    shown = pledgewatch("--help", COLUMNS="100").stdout
    for name in COMMANDS:
        assert re.search(rf"^\W*{name}\s+\S", shown, re.MULTILINE), name
