"""As whom the embedded servers run.

PostgreSQL refuses uid 0. As root we either hide uid 0 behind a user namespace, in which every file
stays readable, or, where the kernel or a container forbids that, drop to an unprivileged user.
"""

from __future__ import annotations

import functools
import os
import pwd
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from core.errors import Misconfigured

LAUNCHER = Path(__file__).with_name("launch.py")
PROBE_TIMEOUT_S = 20
# Inside the namespace initdb looks its user up by name, so the uid must be one that passwd knows.
NAMESPACE_USERS = ("postgres", "daemon", "bin", "nobody")
DROP_USERS = ("nobody", "daemon")


@dataclass(frozen=True, slots=True)
class Identity:
    """How a server process gets its user; `uid` and `gid` are meaningless when direct."""

    kind: Literal["direct", "namespace", "dropped"]
    uid: int = -1
    gid: int = -1

    def launch_arguments(self) -> list[str]:
        """Return the options of launch.py that produce this identity."""
        match self.kind:
            case "direct":
                return []
            case "namespace":
                return ["--namespace", str(self.uid), str(self.gid)]
            case "dropped":
                return ["--drop", str(self.uid), str(self.gid)]

    def owner(self) -> tuple[int, int]:
        """Return the uid and gid that must own the server's files, as the machine sees them."""
        if self.kind == "dropped":
            return self.uid, self.gid
        return os.geteuid(), os.getegid()

    def describe(self) -> str:
        """Say it to a person."""
        match self.kind:
            case "direct":
                return f"as uid {os.geteuid()}"
            case "namespace":
                return f"as root inside a user namespace (seen as uid {self.uid})"
            case "dropped":
                return f"as uid {self.uid}, dropped from root"

    def can(self, *command: str) -> bool:
        """Tell whether a command succeeds under this identity."""
        result = subprocess.run(
            [*launch_command(self, death_signal=9), *command],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd="/",
            timeout=PROBE_TIMEOUT_S,
            check=False,
        )
        return result.returncode == 0

    def can_enter(self, folder: Path) -> bool:
        """Tell whether the server could work in a folder."""
        return self.can("/bin/sh", "-c", 'cd "$1"', "sh", str(folder))


def launch_command(identity: Identity, death_signal: int) -> list[str]:
    """Return the command line that `program …` is appended to."""
    return [
        sys.executable, "-I", "-S", str(LAUNCHER),
        "--parent", str(os.getpid()),
        "--death-signal", str(int(death_signal)),
        *identity.launch_arguments(),
        "--",
    ]  # fmt: skip


def choose_identity() -> Identity:
    """Return how to run a server that must not see uid 0.

    Raises:
        Misconfigured: root, no user namespaces, and no unprivileged user in passwd.
    """
    return _choose(os.geteuid())


@functools.cache
def _choose(euid: int) -> Identity:
    if euid != 0:
        return Identity("direct")
    namespaced = _first_user("namespace", NAMESPACE_USERS)
    if namespaced is not None and namespaced.can("/bin/sh", "-c", "true"):
        return namespaced
    return dropped_identity()


def dropped_identity() -> Identity:
    """Return the unprivileged user that root drops to."""
    dropped = _first_user("dropped", DROP_USERS)
    if dropped is None:
        raise Misconfigured(
            f"Expected one of the users {', '.join(DROP_USERS)} to run PostgreSQL as, found none in the "
            "user database; run pledgewatch as an ordinary user, or set PLEDGEWATCH_DATABASE_URL.",
            code="no_service_user",
        )
    return dropped


def _first_user(kind: Literal["namespace", "dropped"], names: tuple[str, ...]) -> Identity | None:
    known = {entry.pw_name: entry for entry in pwd.getpwall() if entry.pw_uid != 0}
    for name in names:
        if name in known:
            return Identity(kind, known[name].pw_uid, known[name].pw_gid)
    return None
