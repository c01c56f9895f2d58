"""The migration runner: twice is once, an edited file is refused, two at once wait for each other."""

from __future__ import annotations

import shutil
import threading
from pathlib import Path

import pytest

from core.db import migrate as runner
from core.db.pool import connect
from core.errors import Misconfigured


def table_count(url: str) -> int:
    with connect(url, name="test") as conn:
        row = conn.execute(
            "SELECT count(*) FROM information_schema.tables WHERE table_schema = 'public'"
        ).fetchone()
    assert row is not None
    return int(row[0])


def test_a_second_run_applies_nothing(empty_database_url: str) -> None:
    first = runner.migrate(empty_database_url)
    assert first.applied
    assert runner.migrate(empty_database_url).applied == ()


def only_the_files_of(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the runner know these migrations alone; our SQL functions need our tables."""
    monkeypatch.setattr(runner, "MIGRATIONS", folder)
    monkeypatch.setattr(runner, "FUNCTIONS", folder / "functions")


def test_two_processes_that_migrate_at_once_end_with_one_schema(empty_database_url: str) -> None:
    reports: list[runner.MigrationReport] = []
    threads = [
        threading.Thread(target=lambda: reports.append(runner.migrate(empty_database_url))) for _ in range(2)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(bool(report.applied) for report in reports) == [False, True]


def test_an_applied_file_that_was_edited_is_refused_by_name(
    empty_database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "0001_first.sql").write_text("CREATE TABLE first (id int);")
    only_the_files_of(tmp_path, monkeypatch)
    runner.migrate(empty_database_url)
    (tmp_path / "0001_first.sql").write_text("CREATE TABLE first (id bigint);")
    with pytest.raises(Misconfigured, match=r"0001_first\.sql was edited"):
        runner.migrate(empty_database_url)


def test_a_file_that_fails_leaves_nothing_half_done(
    empty_database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "0001_broken.sql").write_text("CREATE TABLE half (id int); SELECT nosuch();")
    only_the_files_of(tmp_path, monkeypatch)
    before = 1  # schema_migration itself
    with pytest.raises(Exception, match="nosuch"):
        runner.migrate(empty_database_url)
    assert table_count(empty_database_url) == before


def test_a_file_for_the_other_storage_mode_is_skipped_and_remembered(
    empty_database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "0001_a.sql").write_text("-- requires: timescaledb\nCREATE TABLE only_timescale (id int);")
    (tmp_path / "0002_b.sql").write_text("-- requires: plain\nCREATE TABLE only_plain (id int);")
    only_the_files_of(tmp_path, monkeypatch)
    report = runner.migrate(empty_database_url)
    expected = "0001_a.sql" if report.mode.timescaledb else "0002_b.sql"
    assert report.applied == (expected,)


def test_a_file_with_a_name_out_of_form_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, empty_database_url: str
) -> None:
    shutil.copy(next(runner.MIGRATIONS.glob("*.sql")), tmp_path / "first.sql")
    only_the_files_of(tmp_path, monkeypatch)
    with pytest.raises(Misconfigured, match=r"NNNN_name\.sql"):
        runner.migrate(empty_database_url)
