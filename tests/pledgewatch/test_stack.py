"""Commands share one embedded database and broker per DATA_DIR."""

from __future__ import annotations

import stat
import subprocess
import sys
import textwrap
from pathlib import Path
from urllib.parse import urlsplit

import psycopg
import pytest

from core.errors import Conflict
from core.mqtt_passwords import mosquitto_password_hash, verify_mosquitto_password
from core.settings import Settings
from pledgewatch.embedded.accounts import read_password_file
from pledgewatch.embedded.lease import Lease
from pledgewatch.embedded.node import REPOSITORY
from pledgewatch.embedded.probe import ACCEPTED, mqtt_connect_code
from pledgewatch.embedded.stack import open_stack, running_database_url

OTHER_COMMAND = textwrap.dedent(
    """
    import sys
    from pathlib import Path
    import psycopg
    from core.settings import Settings
    from pledgewatch.embedded.stack import open_stack
    with open_stack(Settings(data_dir=Path(sys.argv[1]))) as stack:
        with psycopg.connect(stack.database_url) as connection:
            print(stack.database_how.partition(" ")[0], stack.database_url, flush=True)
            sys.stdin.readline()
            print(connection.execute("SELECT 'still served'").fetchone()[0], flush=True)
    """
)


def settings_for(data_dir: Path, **values) -> Settings:
    return Settings(_env_file=None, data_dir=data_dir, database_url=None, mqtt_url=None, **values)


def other_command(data_dir: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", OTHER_COMMAND, str(data_dir)],
        cwd=REPOSITORY, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        env={"PATH": "/usr/bin:/bin:/usr/sbin"},
    )  # fmt: skip


def first_line(command: subprocess.Popen[str]) -> list[str]:
    assert command.stdout is not None
    return command.stdout.readline().split()


def test_configured_urls_are_taken_as_they_are_and_nothing_starts(tmp_path: Path):
    configured = Settings(
        _env_file=None,
        data_dir=tmp_path / "data",
        database_url="postgresql://db/x",
        mqtt_url="mqtt://u:p@mq:1884",
    )
    with open_stack(configured) as stack:
        assert stack.database_url == "postgresql://db/x"
        assert stack.mqtt_url == "mqtt://u:p@mq:1884"
        assert stack.device_mqtt_url == "mqtt://mq:1884"
    assert not (tmp_path / "data").exists()


def test_a_command_alone_starts_the_parts_it_asks_for_and_stops_them(tmp_path: Path):
    with open_stack(settings_for(tmp_path)) as stack:
        with psycopg.connect(stack.database_url):
            pass
        assert stack.postgres.owned
        assert not (tmp_path / "broker").exists()
    assert running_database_url(tmp_path) is None


def test_a_second_command_joins_the_first_which_waits_for_it(tmp_path: Path):
    with open_stack(settings_for(tmp_path)) as stack:
        url = stack.database_url
        second = other_command(tmp_path)
        assert first_line(second) == ["joined", url]
        assert stack.postgres._lease is not None
        assert not stack.postgres._lease.unused()
        told, _ = second.communicate("\n", timeout=60)
        assert told == "still served\n"
        assert second.returncode == 0
        with psycopg.connect(url):
            pass
    assert running_database_url(tmp_path) is None


def test_the_owner_outlives_its_own_work_while_it_is_used(tmp_path: Path):
    owner = other_command(tmp_path)
    how, url = first_line(owner)
    assert how == "PostgreSQL"
    with open_stack(settings_for(tmp_path)) as stack:
        assert stack.database_url == url
        assert owner.stdin is not None
        assert owner.stderr is not None
        owner.stdin.write("\n")
        owner.stdin.close()
        assert "waiting for it" in owner.stderr.readline()
        with psycopg.connect(url) as connection:
            assert connection.execute("SELECT 1").fetchone() == (1,)
    assert owner.wait(60) == 0
    assert owner.stdout is not None
    owner.stdout.close()
    owner.stderr.close()


def test_after_kill_9_of_the_owner_the_next_command_starts_anew(tmp_path: Path):
    owner = other_command(tmp_path)
    _, url = first_line(owner)
    owner.kill()
    owner.communicate(timeout=30)
    with open_stack(settings_for(tmp_path)) as stack:
        # The port of the first may not be free yet; what counts is that one server answers.
        with psycopg.connect(stack.database_url) as connection:
            assert connection.execute("SELECT 1").fetchone() == (1,)
        assert stack.postgres.owned
        assert urlsplit(stack.database_url).password == urlsplit(url).password


def test_up_does_not_take_a_database_that_another_command_owns(tmp_path: Path, monkeypatch):
    monkeypatch.setattr("pledgewatch.embedded.stack.OWN_TIMEOUT_S", 0.2)
    owner = other_command(tmp_path)
    first_line(owner)
    with (
        open_stack(settings_for(tmp_path)) as stack,
        pytest.raises(Conflict, match="PLEDGEWATCH_DATA_DIR") as caught,
    ):
        stack.postgres.own()
    assert caught.value.facts["pid"] == owner.pid
    owner.communicate("\n", timeout=60)


def test_accounts_are_written_before_the_broker_runs_and_valid_when_it_does(tmp_path: Path):
    with open_stack(settings_for(tmp_path)) as stack:
        assert stack.publish_accounts(lambda: [("early", mosquitto_password_hash("bird"))])
        port = urlsplit(stack.mqtt_url).port
        assert port is not None
        assert mqtt_connect_code("127.0.0.1", port, "early", "bird") == ACCEPTED
        assert stack.publish_accounts(lambda: [("late", mosquitto_password_hash("owl"))])
        assert mqtt_connect_code("127.0.0.1", port, "late", "owl") == ACCEPTED
        assert mqtt_connect_code("127.0.0.1", port, "early", "bird") != ACCEPTED


def test_with_a_password_file_set_that_file_gets_ingest_and_the_devices(tmp_path: Path):
    path = tmp_path / "passwords"
    configured = Settings(
        _env_file=None,
        data_dir=tmp_path / "data",
        mqtt_url="mqtt://ingest:s%2Fecret@broker:1883",
        mqtt_password_file=path,
    )
    with open_stack(configured) as stack:
        assert stack.publish_accounts(lambda: [("dev", mosquitto_password_hash("x"))])
    accounts = dict(read_password_file(path))
    assert set(accounts) == {"ingest", "dev"}
    assert verify_mosquitto_password("s/ecret", accounts["ingest"])
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_foreign_broker_without_a_password_file_is_left_alone(tmp_path: Path):
    configured = Settings(_env_file=None, data_dir=tmp_path / "data", mqtt_url="mqtt://u:p@elsewhere:1883")
    with open_stack(configured) as stack:
        assert not stack.publish_accounts(list)


def test_a_lease_has_one_owner_and_waits_for_its_users(tmp_path: Path):
    owner, other, user = (Lease(tmp_path, "part") for _ in range(3))
    assert owner.try_own()
    assert not other.try_own()
    assert user.try_join()
    assert not owner.unused()
    user.leave()
    assert owner.unused()
    assert not user.try_join(), "nobody joins a part that is about to stop"
    owner.release()
    assert other.try_own()
    other.release()
