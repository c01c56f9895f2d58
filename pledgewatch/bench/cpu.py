"""How much processor time a process and all its children took: the figure that travels between machines."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Mapping

import psutil

TICK_S = 1.0 / os.sysconf("SC_CLK_TCK")
"""What the kernel counts in; less is not known."""


def tree_cpu_s(pid: int) -> float:
    """Return user and system seconds of a process, its living descendants and those already reaped."""
    root = psutil.Process(pid)
    total = 0.0
    for process in (root, *root.children(recursive=True)):
        with contextlib.suppress(psutil.NoSuchProcess):
            # One that ends between two readings is then in its parent's children_* times.
            times = process.cpu_times()
            total += times.user + times.system + times.children_user + times.children_system
    return total


class CpuMeter:
    """Seconds of named process trees since ``start``."""

    def __init__(self, pids: Mapping[str, int]) -> None:
        self._pids = dict(pids)
        self._before: dict[str, float] = {}

    def start(self) -> None:
        """Begin to count."""
        self._before = self._read()

    def seconds(self) -> dict[str, float]:
        """Return what each tree has taken since ``start``, at least one tick."""
        return {name: max(TICK_S, now - self._before[name]) for name, now in self._read().items()}

    def _read(self) -> dict[str, float]:
        return {name: tree_cpu_s(pid) for name, pid in self._pids.items()}
