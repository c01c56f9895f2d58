"""G3: shuffled, doubled and a day late, a recorded fleet ends in the same reports and the same findings."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from geofence.oracle import compare
from tests.e2e.deployment import Deployment, deployed
from tests.e2e.tracks import part_of, shared_file
from tests.fix_stack import eventually

# tests/geofence/stateful/test_recorded.py holds the same promise inside one process, in every run.
pytestmark = [pytest.mark.soak, pytest.mark.serial, pytest.mark.db, pytest.mark.broker]

SEED = 4


@dataclass(frozen=True, slots=True)
class Ended:
    """What a deployment holds in the end."""

    reports: list[tuple[Any, ...]]
    findings: set[tuple[Any, ...]]


def in_one_pass(stack: Deployment, track: Path) -> None:
    stack.run("simulate", "--replay", str(track), "--speed", "max", timeout_s=600)


def in_disordered_pieces_with_restarts_between(stack: Deployment, track: Path, *, pieces: int) -> None:
    disorder = ["--double", "--disorder", str(SEED)]
    for piece in range(1, pieces + 1):
        stack.run(
            "simulate", "--replay", str(track), "--speed", "max", *disorder, "--part", f"{piece}/{pieces}",
            timeout_s=600,
        )  # fmt: skip
        stack.kill("-m", "ingest")
        stack.kill("-m", "geofence")


def end_of(
    folder: Path, track: Path, fences: Path, send: Callable[[Deployment, Path], None], rest_s: float
) -> Ended:
    with deployed(folder, TELEMETRY_CLOCK="data") as stack:
        stack.run("fences", "import", str(fences), "--category", "region")
        send(stack, track)
        # The backlog is empty once a probe has been stored that was sent after the last report.
        [(sent,)] = stack.query("SELECT clock_timestamp()")
        eventually(
            lambda: stack.query("SELECT FROM time_watermark WHERE probe_sent_at > %s", sent),
            within_s=rest_s, what="an empty backlog",
        )  # fmt: skip
        eventually(stack.rules_at_rest, within_s=rest_s, what="rules at rest")
        with stack.connect() as conn:
            compared = compare(conn, timezone="Asia/Shanghai", derive_marks=True)
            assert compared.differences == (), "not the findings of the engine over what is stored"
        return Ended(
            stack.query(
                "SELECT vehicle_id, device_id, t, boot_id, seq, sha256 FROM telemetry"
                " ORDER BY device_id, t, boot_id, seq"
            ),
            set(
                stack.query(
                    "SELECT vehicle_id, rule, scope, event, event_time, detected_time FROM finding_current"
                )
            ),
        )


def assert_order_does_not_matter(tmp_path: Path, track: Path, pieces: int, rest_s: float) -> None:
    fences = shared_file("boundaries", "austin_neighbourhoods_wgs84.geojson.gz")
    ordered = end_of(tmp_path / "ordered", track, fences, in_one_pass, rest_s)
    in_pieces = partial(in_disordered_pieces_with_restarts_between, pieces=pieces)
    disordered = end_of(tmp_path / "pieces", track, fences, in_pieces, rest_s)
    print(f"{len(ordered.reports)} reports, {len(ordered.findings)} findings")
    assert disordered.reports == ordered.reports
    assert disordered.findings == ordered.findings
    assert len({rule for _, rule, *_ in ordered.findings}) >= 4


def test_part_of_a_fleet_in_shuffled_doubled_pieces_ends_as_in_one_pass(tmp_path: Path) -> None:
    track = part_of(shared_file("tracks", "austin_bus.csv.gz"), 6, tmp_path / "part.csv.gz")
    assert_order_does_not_matter(tmp_path, track, pieces=4, rest_s=180)


@pytest.mark.timeout(3600)
def test_the_whole_fleet_in_ten_shuffled_doubled_pieces_ends_as_in_one_pass(tmp_path: Path) -> None:
    assert_order_does_not_matter(tmp_path, shared_file("tracks", "austin_bus.csv.gz"), pieces=10, rest_s=1200)
