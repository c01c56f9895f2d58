"""Recorded tracks for end-to-end tests: read from the shared folder, where it is there."""

from __future__ import annotations

import csv
import gzip
from collections import defaultdict
from pathlib import Path

import pytest

SHARED = Path(__file__).resolve().parents[3] / "shared" / "data"


def shared_file(*parts: str) -> Path:
    """Return a file of the shared data, or skip the test, visibly."""
    path = SHARED.joinpath(*parts)
    if not path.exists():
        pytest.skip(f"shared data absent: {'/'.join(parts)}")
    return path


def rows_of(path: Path) -> list[dict[str, str]]:
    """Return the rows of a track file."""
    with gzip.open(path, "rt", encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def part_of(path: Path, vehicles: int, into: Path) -> Path:
    """Write the rows of the first ``vehicles`` vehicles (by name) into a track file of their own."""
    by_vehicle = defaultdict(list)
    for row in rows_of(path):
        by_vehicle[row["vehicle_id"]].append(row)
    chosen = [row for name in sorted(by_vehicle)[:vehicles] for row in by_vehicle[name]]
    with gzip.open(into, "wt", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(chosen[0]))
        writer.writeheader()
        writer.writerows(chosen)
    return into


def distinct_fixes(path: Path) -> int:
    """Return how many (vehicle, ts) a track file holds."""
    return len({(row["vehicle_id"], row["ts"]) for row in rows_of(path)})
