"""The commands as a shell sees them: exit code, stdout, stderr; on a database of the test's own."""

import json
import os
import subprocess
import sys

import pytest

from core.db.pool import connect
from core.mqtt_passwords import verify_mosquitto_password


@pytest.fixture
def pledgewatch(database_url, tmp_path):
    passwords = tmp_path / "passwords"
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

    run.passwords = passwords
    return run


def test_device_add_prints_the_credential_that_the_broker_then_knows(pledgewatch):
    added = pledgewatch("device", "add", "868120303960871", "--vehicle", "LSVAU218XN2183294", "--json")
    assert added.returncode == 0, added.stderr
    given = json.loads(added.stdout.splitlines()[-1])
    assert set(given) == {"device_id", "shard", "username", "password"}
    username, _, password_hash = pledgewatch.passwords.read_text().strip().partition(":")
    assert username == given["username"] == "868120303960871"
    assert verify_mosquitto_password(given["password"], password_hash)


def test_rotate_and_revoke_reach_the_password_file(pledgewatch):
    pledgewatch("device", "add", "d1")
    before = pledgewatch.passwords.read_text()
    rotated = pledgewatch("device", "rotate", "d1", "--json")
    assert json.loads(rotated.stdout)["username"] == "d1"
    assert pledgewatch.passwords.read_text() != before
    assert pledgewatch("device", "revoke", "d1").returncode == 0
    assert pledgewatch.passwords.read_text() == ""
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
