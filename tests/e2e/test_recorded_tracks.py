"""A recorded city fleet through a real broker: every report stored once, repeats counted, none invented."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.e2e.deployment import deployed
from tests.e2e.tracks import distinct_fixes, part_of, rows_of, shared_file

pytestmark = [pytest.mark.slow, pytest.mark.db, pytest.mark.broker]


def test_part_of_a_recorded_fleet_is_stored_once_with_its_repeats_counted(tmp_path: Path) -> None:
    track = part_of(shared_file("tracks", "austin_bus.csv.gz"), 40, tmp_path / "part.csv.gz")
    assert_stored_once(tmp_path, track)


@pytest.mark.soak
def test_the_whole_austin_file_is_stored_once_with_its_repeats_counted(tmp_path: Path) -> None:
    assert_stored_once(tmp_path, shared_file("tracks", "austin_bus.csv.gz"))


def assert_stored_once(tmp_path: Path, track: Path) -> None:
    rows, distinct = len(rows_of(track)), distinct_fixes(track)
    log = tmp_path / "acks.csv"
    with deployed(tmp_path / "data", TELEMETRY_CLOCK="data") as stack:
        stack.run("simulate", "--replay", str(track), "--speed", "max", "--acklog", str(log), timeout_s=280)
        check = stack.run_json("ingest", "check", "--acklog", str(log), "--wait", "120")
        listed = stack.run("quarantine", "list")
        refused = stack.query("SELECT reason, count(*) FROM quarantine GROUP BY reason ORDER BY reason")
    print(check, refused)
    assert (check["lost"], check["ghost"]) == (0, 0)
    assert check["acknowledged"] == rows
    assert check["stored"] + check["undated"] + check["quarantined"] + check["dead_letter"] == distinct
    assert check["duplicate"] + check["dup_conflict"] == rows - distinct
    assert all(reason in listed for reason, _ in refused)
