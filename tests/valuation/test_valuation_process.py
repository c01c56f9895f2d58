"""`python -m valuation`: marks soon after its start, waits for a database that is away, ends when told to."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from core.db.pool import connect
from pledgewatch.embedded.ports import any_free
from tests.fix_stack import eventually
from tests.valuation.invented_market import pledge

pytestmark = pytest.mark.db


@contextmanager
def process(database_url: str) -> Iterator[subprocess.Popen[str]]:
    environment = os.environ | {"PLEDGEWATCH_DATABASE_URL": database_url, "PLEDGEWATCH_LOG_JSON": "true"}
    running = subprocess.Popen(
        [sys.executable, "-m", "valuation"],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        yield running
    finally:
        running.kill()
        running.wait(timeout=20)
        assert running.stdout is not None
        running.stdout.close()


def test_the_process_marks_at_once_and_ends_on_sigterm(database_url: str):
    with connect(database_url, name="test", autocommit=True) as conn:
        pledge(conn, "V1", 8_000_000)
        with process(database_url) as running:
            row = eventually(
                lambda: conn.execute("SELECT status, reason FROM estimate").fetchone(),
                within_s=60,
                what="an estimate",
            )
            assert row == ("not_valued", "no_model")
            running.send_signal(signal.SIGTERM)
            assert running.wait(timeout=30) == 0


def test_the_process_waits_for_a_database_that_is_away():
    nowhere = f"postgresql://nobody@127.0.0.1:{any_free()}/nothing"
    with process(nowhere) as running:
        assert running.stdout is not None
        told = [running.stdout.readline() for _ in range(2)]
        assert all("database_away" in line for line in told), told
        assert running.poll() is None
        running.send_signal(signal.SIGTERM)
        assert running.wait(timeout=30) == 0


def test_the_command_marks_all_then_one_and_names_a_vehicle_it_does_not_know(database_url: str):
    with connect(database_url, name="test", autocommit=True) as conn:
        pledge(conn, "V1", 8_000_000)
    environment = os.environ | {"PLEDGEWATCH_DATABASE_URL": database_url}

    def run(*more: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "pledgewatch", "valuation", "mark", "--json", *more]
        return subprocess.run(
            command, env=environment, capture_output=True, text=True, timeout=120, check=False
        )

    everything = run()
    assert everything.returncode == 0, everything.stderr
    assert json.loads(everything.stdout.splitlines()[-1]) == {
        "vehicles": 1, "loans": 1, "raised": 0, "cleared": 0, "by_status": {"not_valued": 1},
    }  # fmt: skip
    one = json.loads(run("--vehicle", "V1").stdout.splitlines()[-1])
    assert (one["vehicle_id"], one["status"], one["reason"]) == ("V1", "not_valued", "no_model")
    unknown = run("--vehicle", "V404")
    assert (unknown.returncode, "vehicle_not_found" in unknown.stderr) == (1, True)
