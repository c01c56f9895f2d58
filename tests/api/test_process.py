"""`python -m api` as a process: it starts, serves, and ends when told to, open streams or not."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from tests.fix_api import Town
from tests.fix_stack import eventually

pytestmark = pytest.mark.db
ROOT = Path(__file__).parents[2]


def start(town: Town, port: int) -> subprocess.Popen[str]:
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("PLEDGEWATCH_")},
        "PLEDGEWATCH_DATABASE_URL": town.database_url, "PLEDGEWATCH_HTTP_PORT": str(port),
        "PLEDGEWATCH_DATA_DIR": str(town.settings.data_dir),
    }  # fmt: skip
    return subprocess.Popen(
        [sys.executable, "-m", "api"], cwd=ROOT, env=environment, stderr=subprocess.PIPE, text=True
    )


def free_port() -> int:
    from pledgewatch.embedded.ports import any_free

    return any_free()


def is_ready(url: str) -> bool:
    try:
        return httpx.get(f"{url}/health/ready").status_code == 200
    except httpx.TransportError:
        return False


def test_the_process_ends_on_sigterm_although_a_stream_is_open(town: Town):
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    with start(town, port) as process:
        try:
            eventually(lambda: is_ready(url), within_s=30, what="the API is ready")
            headers = {"Authorization": f"Bearer {town.tokens['admin']}"}
            with httpx.stream("GET", f"{url}/api/v1/alerts/stream", headers=headers, timeout=30) as answer:
                lines = answer.iter_lines()
                assert next(lines).startswith(":")
                process.send_signal(signal.SIGTERM)
                assert list(lines)[-1] == ""
            assert process.wait(timeout=15) == 0
        finally:
            process.kill()


def test_a_busy_port_is_named_with_the_variable_that_changes_it(town: Town):
    import socket

    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        with start(town, other.getsockname()[1]) as process:
            _, told = process.communicate(timeout=30)
        assert process.returncode == 1
        assert "PLEDGEWATCH_HTTP_PORT" in told
