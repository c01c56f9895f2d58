"""Our processes as children of a bench: the API on a free port, and others beside it."""

from __future__ import annotations

import contextlib
import os
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from core.clock import monotonic
from core.errors import Unavailable
from pledgewatch.embedded import ports
from pledgewatch.embedded.pause import Pause
from pledgewatch.embedded.processes import Child, spawn

START_WITHIN_S = 60.0


@dataclass(frozen=True, slots=True)
class Served:
    """A program that answers on a port."""

    child: Child
    port: int


def start_module(module: Sequence[str], database_url: str, folder: Path, name: str, **settings: str) -> Child:
    """Start `python -m MODULE …` on the bench's database; settings are variables without their prefix."""
    environment = {key: value for key, value in os.environ.items() if not key.startswith("PLEDGEWATCH_")} | {
        "PLEDGEWATCH_ENV": "development",
        "PLEDGEWATCH_DATABASE_URL": database_url,
        "PLEDGEWATCH_DATA_DIR": str(folder),
        **{f"PLEDGEWATCH_{key}": value for key, value in settings.items()},
    }
    return spawn(
        name, [sys.executable, "-m", *module], log=folder / f"{name}.log", environment=environment, cwd=folder
    )


def start_api(
    database_url: str,
    folder: Path,
    *,
    name: str = "api",
    module: Sequence[str] = ("api",),
    port: int = 0,
    **settings: str,
) -> Served:
    """Start an API process and wait until it answers.

    Raises:
        Unavailable: it ended or said nothing within a minute.
    """
    port = port or ports.any_free()
    child = start_module(module, database_url, folder, name, HTTP_PORT=str(port), **settings)
    deadline, pause = monotonic() + START_WITHIN_S, Pause()
    while not _alive(port):
        if not child.running or monotonic() > deadline:
            child.kill()
            raise Unavailable(
                f"Expected {name} to answer; its log ends:\n{child.log_tail()}", code="bench_incomplete"
            )
        pause()
    return Served(child, port)


@contextlib.contextmanager
def serving(
    database_url: str, folder: Path, *, name: str = "api", module: Sequence[str] = ("api",)
) -> Iterator[Served]:
    """Start an API process, and stop it at the end of the block."""
    served = start_api(database_url, folder, name=name, module=module)
    try:
        yield served
    finally:
        served.child.stop()


def _alive(port: int) -> bool:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(f"http://127.0.0.1:{port}/health/live", timeout=2) as answer:
            return bool(answer.status == 200)
    except (OSError, urllib.error.URLError):
        return False
