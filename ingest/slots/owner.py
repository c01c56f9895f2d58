"""Who holds a lease, and whether that process is certainly gone: its slot need not wait for the lease."""

from __future__ import annotations

import contextlib
import os
import socket
from pathlib import Path

_PROC = Path("/proc")


def this_process() -> str:
    """Return a name for this process that no other has: host, boot, pid namespace, pid, start."""
    return f"{_place()}:{os.getpid()}:{_started(os.getpid()) or '?'}"


def surely_dead(owner: str) -> bool:
    """Tell whether the owner ran here, where pids mean what they mean to us, and runs no longer."""
    place, _, rest = owner.partition(":")
    pid, _, started = rest.partition(":")
    if place != _place() or not pid.isdigit() or started in {"", "?"}:
        return False
    return _started(int(pid)) != started


def _place() -> str:
    boot = namespace = "?"
    with contextlib.suppress(OSError):
        boot = (_PROC / "sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        namespace = str((_PROC / "self/ns/pid").readlink()).strip("pid:[]")
    return f"{socket.gethostname()}/{boot}/{namespace}"


def _started(pid: int) -> str | None:
    """Return the start time of a process in clock ticks since boot, None when there is none."""
    try:
        line = (_PROC / str(pid) / "stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    fields = line.rpartition(")")[2].split()
    return None if fields[0] == "Z" else fields[19]
