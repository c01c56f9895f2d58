"""Crashed programs come back; killed parents take their children along."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest

from core.errors import Unavailable
from pledgewatch.embedded.node import REPOSITORY
from pledgewatch.embedded.processes import is_alive, spawn
from pledgewatch.embedded.supervisor import RoomProcess, Supervisor
from tests.fix_stack import eventually

STEADY = "import threading; print('steady', flush=True); threading.Event().wait()"
CRASHING = "print('about to fail', flush=True); raise SystemExit('the reason')"


@pytest.fixture
def told() -> list[str]:
    return []


@pytest.fixture
def supervisor(told: list[str]) -> Iterator[Supervisor]:
    supervisor = Supervisor(told.append)
    yield supervisor
    supervisor.stop()


def room(name: str, script: str, tmp_path: Path) -> RoomProcess:
    return RoomProcess(name, [sys.executable, "-c", script], dict(os.environ), tmp_path / f"{name}.log")


def test_a_killed_program_is_started_again(supervisor: Supervisor, told: list[str], tmp_path: Path):
    steady = room("steady", STEADY, tmp_path)
    supervisor.add("steady", steady)
    first = steady.pid
    assert first is not None
    os.kill(first, signal.SIGKILL)

    def back() -> bool:
        supervisor.tick()
        return steady.running and steady.pid != first

    eventually(back, what="the restart")
    assert any("ended with signal 9" in text for text in told)


def test_a_program_that_keeps_failing_waits_longer_each_time_and_says_why(
    supervisor: Supervisor, told: list[str], tmp_path: Path
):
    supervisor.add("failing", room("failing", CRASHING, tmp_path))

    def thrice() -> list[str] | None:
        supervisor.tick()
        crashes = [text for text in told if "starting it again" in text]
        return crashes if len(crashes) == 3 else None

    crashes = eventually(thrice, what="three crashes")
    assert [text.rpartition(" in ")[2] for text in crashes] == ["0.5 s", "1.0 s", "2.0 s"]
    assert all("status 1: the reason" in text for text in crashes)


def test_a_server_that_cannot_start_yet_is_tried_again(supervisor: Supervisor, told: list[str]):
    class Server:
        def __init__(self) -> None:
            self.attempts = 0
            self.running = True

        def start(self) -> None:
            self.attempts += 1
            if self.attempts < 3:
                raise Unavailable("not yet")
            self.running = True

        def stop(self) -> None:
            self.running = False

    server = Server()
    supervisor.add("server", server)
    server.running = False

    def up_again() -> bool:
        supervisor.tick()
        return server.running

    eventually(up_again, what="the third attempt")
    assert server.attempts == 3
    assert told.count("server did not start: not yet") == 2


def test_it_stops_in_reverse_order_and_insists(tmp_path: Path, told: list[str], monkeypatch):
    monkeypatch.setattr("pledgewatch.embedded.supervisor.STOP_GRACE_S", 0.5)
    supervisor = Supervisor(told.append)
    deaf = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN);" + STEADY
    rooms = [room("first", STEADY, tmp_path), room("deaf", deaf, tmp_path), room("last", STEADY, tmp_path)]
    for one in rooms:
        supervisor.add(one.name, one)
    pids = [one.pid for one in rooms if one.pid is not None]
    eventually(
        lambda: "steady" in (tmp_path / "deaf.log").read_text(), what="the deaf one to have set its ear"
    )
    supervisor.stop()
    assert [text for text in told if text.startswith("stopping")] == [
        "stopping last",
        "stopping deaf",
        "stopping first",
    ]
    assert not any(is_alive(pid) for pid in pids)


def test_a_child_of_a_killed_parent_dies_even_if_it_is_deaf(tmp_path: Path):
    script = textwrap.dedent(
        f"""
        import os, sys, threading
        from pathlib import Path
        from pledgewatch.embedded.supervisor import RoomProcess
        room = RoomProcess("deaf", [sys.executable, "-c", "import signal;"
            "signal.signal(signal.SIGTERM, signal.SIG_IGN);" {STEADY!r}], dict(os.environ), Path(sys.argv[1]))
        room.start()
        print(room.pid, flush=True)
        threading.Event().wait()
        """
    )
    log = tmp_path / "deaf.log"
    parent = subprocess.Popen(
        [sys.executable, "-c", script, str(log)], cwd=REPOSITORY, stdout=subprocess.PIPE, text=True
    )
    assert parent.stdout is not None
    child = int(parent.stdout.readline())
    eventually(lambda: "steady" in log.read_text(), what="the child's first word")
    parent.kill()
    parent.communicate(timeout=30)
    eventually(lambda: not is_alive(child), what="the child to follow")


def test_a_program_that_is_not_there_leaves_a_word_in_its_log(tmp_path: Path):
    child = spawn("absent", ["/nonexistent/program"], log=tmp_path / "absent.log")
    assert child.process.wait(20) == 126
    assert "No such file" in child.log_tail()


def test_a_large_log_is_put_aside_at_the_next_start(tmp_path: Path, monkeypatch):
    monkeypatch.setattr("pledgewatch.embedded.processes.LOG_ROTATE_BYTES", 100)
    log = tmp_path / "big.log"
    log.write_text("x" * 200)
    spawn("small", [sys.executable, "-c", ""], log=log).process.wait(20)
    assert (tmp_path / "big.log.1").read_text() == "x" * 200
    assert "starting small" in log.read_text()
