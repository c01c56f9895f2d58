"""`python -m geofence`: works, survives the database, stops when told."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading

import pytest

from core.clock import from_ms
from core.db.pool import Connection, connect
from geofence.loop import run_until
from geofence.oracle import compare
from geofence.writer import RuleWriter
from tests.fix_stack import eventually
from tests.geofence.stateful.fleet import MINUTE, START_MS, TIMEZONE, ingest, register, report, set_watermark


@pytest.fixture
def conn(database_url):
    with connect(database_url, name="test-process", autocommit=True) as connection:
        register(connection, "v1")
        yield connection


@pytest.fixture
def process(database_url):
    environment = os.environ | {
        "PLEDGEWATCH_DATABASE_URL": database_url, "PLEDGEWATCH_TELEMETRY_CLOCK": "data", "PLEDGEWATCH_LOG_JSON": "true",
    }  # fmt: skip
    child = subprocess.Popen(
        [sys.executable, "-m", "geofence"], env=environment, stderr=subprocess.PIPE, text=True
    )
    yield child
    if child.poll() is None:
        child.kill()
    child.communicate()


def advance_clock(conn, minute):
    conn.execute(
        "INSERT INTO telemetry_clock (spec, data_seen) VALUES ('data', %s::timestamptz) ON CONFLICT (singleton)"
        " DO UPDATE SET data_seen = EXCLUDED.data_seen",
        (from_ms(START_MS + minute * MINUTE),),
    )


def offline(conn):
    return conn.execute(
        "SELECT count(*) FROM finding_current WHERE rule = 'DEVICE_OFFLINE' AND event = 'raise'"
    ).fetchone()[0]


def test_the_process_sweeps_and_replays_survives_lost_connections_and_stops(conn, process):
    writer = RuleWriter(timezone=TIMEZONE, derive_marks=True)
    ingest(conn, writer, [report(0), report(20)])
    ingest(conn, writer, [report(10)])
    advance_clock(conn, 60)
    set_watermark(conn, START_MS + 60 * MINUTE)
    eventually(lambda: offline(conn) == 1, within_s=30, what="the silence of 30 minutes")
    assert conn.execute("SELECT count(*) FROM replay_request").fetchone() == (0,)
    killed = conn.execute(
        "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity"
        " WHERE application_name IN ('pledgewatch-sweeper', 'pledgewatch-replayer') AND datname = current_database()"
    ).fetchone()[0]
    assert killed == 2
    ingest(conn, writer, [report(70)])
    ingest(conn, writer, [report(65)])
    advance_clock(conn, 120)
    set_watermark(conn, START_MS + 120 * MINUTE)
    eventually(
        lambda: offline(conn) == 2 and not conn.execute("SELECT 1 FROM replay_request").fetchone(),
        within_s=30,
        what="the second silence",
    )
    assert process.poll() is None
    process.send_signal(signal.SIGTERM)
    assert process.wait(15) == 0
    assert compare(conn, timezone=TIMEZONE, derive_marks=True).differences == ()
    assert conn.execute("SELECT count(*) FROM time_mark").fetchone() == (0,)


def test_the_process_says_which_setting_is_missing():
    environment = {key: value for key, value in os.environ.items() if key != "PLEDGEWATCH_DATABASE_URL"}
    result = subprocess.run(
        [sys.executable, "-m", "geofence"],
        env=environment,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert result.returncode != 0
    assert "PLEDGEWATCH_DATABASE_URL" in result.stderr


def test_the_loop_waits_longer_after_each_failure_and_goes_on_with_a_new_connection(
    database_url, monkeypatch
):
    stop = threading.Event()
    seen: list[Connection] = []
    waits: list[float] = []
    monkeypatch.setattr(stop, "wait", waits.append)

    def step(conn):
        seen.append(conn)
        if len(seen) == 1:
            raise ArithmeticError("a fault of ours")
        if len(seen) == 2:
            conn.execute("SELECT pg_terminate_backend(pg_backend_pid())")
        if len(seen) == 3:
            return True
        stop.set()
        return False

    run_until(stop, database_url, "loop-test", step, idle_s=0.125)
    assert seen[0] is seen[1]
    assert seen[1] is not seen[2]
    assert seen[2] is seen[3]
    assert 0.25 <= waits[0] <= 0.5 <= waits[1] <= 1.0
    assert waits[2:] == [0.125]
    assert seen[-1].closed


def test_the_loop_outlives_a_database_that_is_not_there():
    stop = threading.Event()
    waits: list[float] = []

    def wait(seconds):
        waits.append(seconds)
        if len(waits) == 9:
            stop.set()

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(stop, "wait", wait)
        run_until(stop, "postgresql://127.0.0.1:1/none", "nobody", lambda conn: True)
    assert waits[0] < waits[-1] <= 30.0
