"""`pledgewatch up` with stand-ins for the rooms: what starts, what is said, what is left."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

import psutil
import psycopg
import pytest

from core.settings import Settings
from pledgewatch.embedded.mosquitto import find_mosquitto
from pledgewatch.embedded.node import REPOSITORY
from pledgewatch.embedded.ports import any_free
from pledgewatch.embedded.processes import is_alive
from pledgewatch.embedded.stack import open_stack, running_database_url, running_mqtt_url
from pledgewatch.embedded.state import read_state
from tests.fix_stack import eventually, missing

# The real rooms are tested end to end elsewhere; here the page is a web server that says it lives.
SCRIPT = textwrap.dedent(
    """
    import sys
    from pledgewatch.embedded import up
    from core.settings import load_settings
    PAGE = '''
    import http.server, os
    class Alive(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200 if self.path == "/health/live" else 404)
            self.end_headers()
    print("database", bool(os.environ["PLEDGEWATCH_DATABASE_URL"]), flush=True)
    http.server.HTTPServer(("127.0.0.1", int(os.environ["PLEDGEWATCH_HTTP_PORT"])), Alive).serve_forever()
    '''
    WORKER = "import threading; threading.Event().wait()"
    import textwrap
    up.room_commands = lambda settings: [
        ("worker", [sys.executable, "-c", WORKER]),
        ("api", [sys.executable, "-c", textwrap.dedent(PAGE)]),
    ]
    from core.errors import PledgewatchError
    try:
        up.run_up(load_settings(), False, on_ready=lambda stack, page: print("ready", page, flush=True))
    except PledgewatchError as error:
        sys.exit(error.message)
    """
)


class Up:
    """A running `up` on a DATA_DIR."""

    def __init__(self, data_dir: Path, **variables: str) -> None:
        self.data_dir = data_dir
        self.port = any_free()
        environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(data_dir.parent),
            "PLEDGEWATCH_DATA_DIR": str(data_dir),
            "PLEDGEWATCH_HTTP_PORT": str(self.port),
            **variables,
        }
        self.process = subprocess.Popen(
            [sys.executable, "-c", SCRIPT],
            cwd=REPOSITORY, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip

    def ready(self) -> str:
        """Wait for the page and return its address."""
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line.startswith("ready "), self.process.communicate(timeout=60)[1]
        return line.split()[1]

    def family(self) -> list[int]:
        return [child.pid for child in psutil.Process(self.process.pid).children(recursive=True)]

    def end(self) -> str:
        """Wait for the end and return what was said on stderr."""
        return self.process.communicate(timeout=90)[1]


@pytest.fixture
def up(tmp_path: Path) -> Iterator[Up]:
    if find_mosquitto() is None:
        missing("broker", "mosquitto is not on the PATH")
    running = Up(tmp_path / "data")
    yield running
    if running.process.poll() is None:
        running.process.kill()
        running.end()


def test_it_ends_in_a_page_and_ctrl_c_stops_everything(up: Up):
    assert up.ready() == f"http://127.0.0.1:{up.port}"
    family = up.family()
    # postgres and what it forks, the broker, two rooms
    assert len(family) >= 4
    up.process.send_signal(signal.SIGINT)
    said = up.end()
    assert up.process.returncode == 0
    assert not [pid for pid in family if is_alive(pid)]
    for word in ("PostgreSQL", "MQTT broker", "worker", "api", "postgres.log", f"127.0.0.1:{up.port}"):
        assert word in said
    assert re.search(
        r"stopping api.*stopping worker.*stopping MQTT broker.*stopping PostgreSQL", said, re.DOTALL
    )


def test_a_killed_up_leaves_nothing_running(up: Up):
    up.ready()
    family = up.family()
    assert len(family) >= 4
    up.process.kill()
    up.end()
    eventually(lambda: not [pid for pid in family if is_alive(pid)], what="everything to follow")


def test_a_second_start_keeps_the_data(up: Up):
    up.ready()
    url = running_database_url(up.data_dir)
    assert url is not None
    with psycopg.connect(url) as connection:
        connection.execute("CREATE TABLE kept_by_up AS SELECT 7 AS n")
    up.process.terminate()
    up.end()
    again = Up(up.data_dir)
    again.ready()
    url = running_database_url(up.data_dir)
    assert url is not None
    with psycopg.connect(url) as connection:
        assert connection.execute("SELECT n FROM kept_by_up").fetchone() == (7,)
    again.process.terminate()
    again.end()
    assert again.process.returncode == 0


def test_a_command_beside_it_joins_its_database_and_broker(up: Up):
    up.ready()
    with open_stack(
        Settings(_env_file=None, data_dir=up.data_dir, database_url=None, mqtt_url=None)
    ) as stack:
        assert stack.database_url == running_database_url(up.data_dir)
        assert stack.mqtt_url == running_mqtt_url(up.data_dir)
        assert not stack.postgres.owned
    with psycopg.connect(str(running_database_url(up.data_dir))) as connection:
        assert connection.execute("SELECT count(*) > 0 FROM schema_migration").fetchone() == (True,)


@pytest.mark.parametrize("part", ["postgres", "broker"])
def test_a_killed_server_comes_back_at_its_old_address(up: Up, part: str):
    up.ready()
    before = read_state(up.data_dir / f"{part}.json")
    os.kill(before["pid"], signal.SIGKILL)

    def back() -> bool:
        state = read_state(up.data_dir / f"{part}.json")
        return state.get("pid") != before["pid"] and is_alive(int(state["pid"]))

    eventually(back, within_s=40, what=f"{part} to come back")
    assert read_state(up.data_dir / f"{part}.json")["port"] == before["port"]
    if part == "postgres":
        with psycopg.connect(str(running_database_url(up.data_dir))) as connection:
            assert connection.execute("SELECT 1").fetchone() == (1,)


def test_a_second_up_on_the_same_folder_is_refused_politely(up: Up):
    up.ready()
    second = Up(up.data_dir)
    said = second.end()
    assert second.process.returncode == 1
    assert f"process {up.process.pid}" in said
    assert "PLEDGEWATCH_DATA_DIR" in said
    assert up.process.poll() is None


@pytest.mark.parametrize(
    "variable", ["PLEDGEWATCH_HTTP_PORT", "PLEDGEWATCH_POSTGRES_PORT", "PLEDGEWATCH_MQTT_PORT"]
)
def test_a_busy_port_is_named_with_the_variable_that_changes_it(tmp_path: Path, variable: str):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        refused = Up(tmp_path / "data", **{variable: port})
        said = refused.end()
    assert refused.process.returncode == 1
    assert f"set {variable}" in said
    assert port in said
    assert running_database_url(tmp_path / "data") is None
