"""Child processes that cannot outlive us."""

from __future__ import annotations

import contextlib
import os
import queue
import signal
import subprocess
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from core.clock import wall_now
from pledgewatch.embedded.identity import Identity, launch_command

DIRECT = Identity("direct")
LOG_TAIL_BYTES = 4_096
LOG_ROTATE_BYTES = 20_000_000


class _Spawner:
    """Starts every child from one thread that lives as long as the process.

    Linux sends the death signal when the *thread* that forked ends, not the process: a server started
    from a worker thread would be shot when that thread returns to its pool.
    """

    def __init__(self) -> None:
        self._orders: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        self._pid = 0
        self._lock = threading.Lock()

    def run(self, start: Callable[[], subprocess.Popen[bytes]]) -> subprocess.Popen[bytes]:
        done = threading.Event()
        outcome: list[subprocess.Popen[bytes] | OSError] = []

        def order() -> None:
            try:
                outcome.append(start())
            except OSError as error:
                outcome.append(error)
            finally:
                done.set()

        with self._lock:
            if self._thread is None or self._pid != os.getpid():
                self._orders = queue.SimpleQueue()
                self._pid = os.getpid()
                self._thread = threading.Thread(target=self._loop, name="spawner", daemon=True)
                self._thread.start()
        self._orders.put(order)
        done.wait()
        result = outcome[0]
        if isinstance(result, OSError):
            raise result
        return result

    def _loop(self) -> None:
        while True:
            self._orders.get()()


_spawner = _Spawner()


@dataclass(slots=True)
class Child:
    """A started program, its log, and how it wants to be asked to stop."""

    name: str
    process: subprocess.Popen[bytes]
    log: Path
    stop_signal: signal.Signals

    @property
    def pid(self) -> int:
        return self.process.pid

    @property
    def running(self) -> bool:
        return self.process.poll() is None

    def log_tail(self) -> str:
        """Return the end of the log, for an error message."""
        return log_tail(self.log)

    def stop(self, grace_s: float = 15.0) -> int:
        """Ask, wait, then kill the whole group; return the exit status."""
        if self.running:
            self.process.send_signal(self.stop_signal)
            try:
                self.process.wait(grace_s)
            except subprocess.TimeoutExpired:
                self.kill()
        return self.process.wait()

    def kill(self) -> None:
        """Kill the program and what it started, now."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)
        self.process.wait()


def spawn(
    name: str,
    command: Sequence[str],
    *,
    log: Path,
    environment: Mapping[str, str] | None = None,
    identity: Identity = DIRECT,
    cwd: Path | None = None,
    stop_signal: signal.Signals = signal.SIGTERM,
    death_signal: signal.Signals | None = None,
) -> Child:
    """Start a program whose output goes to `log`; it gets `death_signal` when this process dies.

    Each child leads a session of its own, so that Ctrl-C reaches only us and we stop them in order.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    if log.exists() and log.stat().st_size > LOG_ROTATE_BYTES:
        log.replace(log.with_name(log.name + ".1"))
    full = [*launch_command(identity, death_signal or stop_signal), *command]
    with log.open("ab") as output:
        output.write(f"--- {wall_now().isoformat(timespec='seconds')} starting {name}\n".encode())
        output.flush()
        process = _spawner.run(
            lambda: subprocess.Popen(
                full,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=None if environment is None else dict(environment),
                cwd=cwd or Path("/"),
                start_new_session=True,
            )
        )
    return Child(name, process, log, stop_signal)


def log_tail(log: Path) -> str:
    """Return the last lines of a log file, empty when there is none."""
    if not log.exists():
        return ""
    with log.open("rb") as handle:
        handle.seek(max(0, log.stat().st_size - LOG_TAIL_BYTES))
        return handle.read().decode("utf-8", "replace").strip()


def is_alive(pid: int) -> bool:
    """Tell whether a process exists and is not a zombie."""
    try:
        status = Path(f"/proc/{pid}/stat").read_text(encoding="ascii", errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        return False
    return status.rpartition(")")[2].split()[0] not in {"Z", "X"}


def start_ticks(pid: int) -> int | None:
    """Return when a process started, in ticks since boot: a pid alone may have been reused."""
    try:
        status = Path(f"/proc/{pid}/stat").read_text(encoding="ascii", errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        return None
    return int(status.rpartition(")")[2].split()[19])
