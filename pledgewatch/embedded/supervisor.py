"""Keeps the programs of `pledgewatch up` running: a crashed one comes back, later each time it crashes."""

from __future__ import annotations

import signal
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from core.clock import monotonic
from core.errors import PledgewatchError
from pledgewatch.embedded.processes import Child, spawn

FIRST_PAUSE_S = 0.5
LONGEST_PAUSE_S = 30.0
# A program that ran this long has got over whatever made it crash.
STEADY_AFTER_S = 60.0
STOP_GRACE_S = 20.0

Tell = Callable[[str], None]


class Restartable(Protocol):
    """Something that can be found dead and started again."""

    @property
    def running(self) -> bool: ...
    def start(self) -> object: ...
    def stop(self) -> None: ...


class RoomProcess:
    """One of our own programs, with its log."""

    def __init__(self, name: str, command: Sequence[str], environment: Mapping[str, str], log: Path) -> None:
        self.name = name
        self.log = log
        self._command = tuple(command)
        self._environment = environment
        self._child: Child | None = None

    @property
    def running(self) -> bool:
        return self._child is not None and self._child.running

    @property
    def pid(self) -> int | None:
        return self._child.pid if self._child is not None else None

    def start(self) -> None:
        """Start the program; it does not survive us."""
        self._child = spawn(
            self.name,
            self._command,
            log=self.log,
            environment=self._environment,
            cwd=Path.cwd(),
            # Rooms are safe to kill at any moment; one that waits for a vanished database would linger.
            death_signal=signal.SIGKILL,
        )

    def stop(self) -> None:
        """Ask it to finish its batch and end; insist after a while."""
        if self._child is not None:
            self._child.stop(STOP_GRACE_S)
            self._child = None

    def fate(self) -> str:
        """Say how it ended, with the last line of its log."""
        status = self._child.process.poll() if self._child is not None else None
        lines = self._child.log_tail().splitlines() if self._child is not None else []
        ended = f"signal {-status}" if status is not None and status < 0 else f"status {status}"
        return f"ended with {ended}" + (f": {lines[-1][:200]}" if lines else "")


@dataclass(slots=True)
class _Watch:
    name: str
    part: Restartable
    crashes: int = 0
    started_at: float = 0.0
    retry_at: float | None = None


class Supervisor:
    """Starts parts in order, restarts the dead ones at each `tick`, stops them in reverse order."""

    def __init__(self, tell: Tell) -> None:
        self._tell = tell
        self._watches: list[_Watch] = []

    def add(self, name: str, part: Restartable) -> None:
        """Start a part (if it does not run yet) and watch it from now on."""
        if not part.running:
            part.start()
        self._watches.append(_Watch(name, part, started_at=monotonic()))

    def tick(self) -> None:
        """Look at every part once."""
        now = monotonic()
        for watch in self._watches:
            if watch.part.running:
                if watch.crashes and now - watch.started_at > STEADY_AFTER_S:
                    watch.crashes = 0
            elif watch.retry_at is None:
                self._note_crash(watch, now)
            elif now >= watch.retry_at:
                self._restart(watch)

    def stop(self) -> None:
        """Stop everything, last started first; one that fails to stop does not save the others."""
        failures: list[Exception] = []
        while self._watches:
            watch = self._watches.pop()
            self._tell(f"stopping {watch.name}")
            try:
                watch.part.stop()
            except (OSError, PledgewatchError) as error:
                failures.append(error)
                self._tell(f"{watch.name} did not stop: {error}")
        if failures:
            raise ExceptionGroup("some parts did not stop", failures)

    def _note_crash(self, watch: _Watch, now: float) -> None:
        watch.crashes += 1
        pause_s = min(LONGEST_PAUSE_S, FIRST_PAUSE_S * 2 ** (watch.crashes - 1))
        watch.retry_at = now + pause_s
        fate = watch.part.fate() if isinstance(watch.part, RoomProcess) else "stopped running"
        self._tell(f"{watch.name} {fate}; starting it again in {pause_s:.1f} s")

    def _restart(self, watch: _Watch) -> None:
        watch.retry_at = None
        watch.started_at = monotonic()
        try:
            watch.part.start()
        except (OSError, PledgewatchError) as error:
            self._tell(f"{watch.name} did not start: {error}")
        else:
            self._tell(f"{watch.name} runs again")
