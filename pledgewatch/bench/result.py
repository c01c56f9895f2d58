"""What a bench prints: figures of ours, the same figures of each peer, and ratios."""

from __future__ import annotations

import os
import platform
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path

import psutil

from core.db.pool import Connection
from pledgewatch.bench.store import describe_server


@dataclass(frozen=True, slots=True)
class BenchResult:
    """One run. ``ratios``: how many times better ours is, above 1 when it is."""

    bench: str
    workload: str
    figures: dict[str, float]
    peers: dict[str, dict[str, float]] = field(default_factory=dict)
    ratios: dict[str, float] = field(default_factory=dict)
    machine: dict[str, str] = field(default_factory=dict)


def describe_machine(conn: Connection | None = None) -> dict[str, str]:
    """Return what a reader needs to place the figures; they are not portable, the ratios are."""
    machine = {
        "cpu": _cpu_model(),
        "cores": str(os.cpu_count()),
        "memory_gb": f"{psutil.virtual_memory().total / 2**30:.0f}",
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.release()}",
    }
    return machine | (describe_server(conn) if conn is not None else {})


def versions(*distributions: str) -> dict[str, str]:
    """Return the installed versions of libraries that a figure depends on."""
    return {name: metadata.version(name) for name in distributions}


def _cpu_model() -> str:
    for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.processor() or "unknown"


def quantile(values: list[float], share: float) -> float:
    """Return the value below which ``share`` of the values lie (nearest rank)."""
    if not values:
        return float("nan")
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]
