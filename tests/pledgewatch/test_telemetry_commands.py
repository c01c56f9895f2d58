"""`pledgewatch telemetry`, and what doctor says of the store: against a real database."""

import json
from datetime import timedelta

import pytest
from typer.testing import CliRunner

from core.clock import wall_now
from core.db.pool import connect
from core.db.timescale import detect
from core.jobs import run_job
from core.settings import Settings
from core.telemetry.storage.erasing.domain import Scope
from geofence.engine import from_bytes, initial_state, to_bytes
from geofence.writer import RuleWriter
from ingest.jobs import ingest_jobs
from pledgewatch.cli import app
from pledgewatch.embedded.doctor import examine
from pledgewatch.erasing import erase_everywhere
from tests.fix_ingest import delivery, minutes_ago, position
from tests.fix_storage import drive, put

DAY = timedelta(days=1)


@pytest.fixture
def cli(database_url, monkeypatch, tmp_path):
    monkeypatch.setenv("PLEDGEWATCH_DATABASE_URL", database_url)
    monkeypatch.setenv("PLEDGEWATCH_DATA_DIR", str(tmp_path))
    runner = CliRunner()

    def run(*words):
        return runner.invoke(app, ["telemetry", *words])

    return run


@pytest.fixture
def conn(database_url):
    with connect(database_url, name="test", autocommit=True) as connection:
        yield connection


def last_json(result):
    return json.loads(result.stdout.splitlines()[-1])


def period(now):
    return ("--from", (now - 9 * DAY).isoformat(), "--to", now.isoformat())


def test_erase_says_first_what_would_go_and_erases_when_confirmed(cli, conn):
    now = wall_now()
    put(conn, drive("d1", now - 3 * DAY, 10))
    words = ("erase", "--vehicle", "car-d1", *period(now), "--reason", "contract ended", "--json")
    looked = last_json(cli(*words))
    assert (looked["erased"], looked["counts"]["telemetry"], looked["devices"]) == (False, 10, ["d1"])
    assert conn.execute("SELECT count(*) FROM telemetry").fetchone() == (10,)
    done = last_json(cli(*words, "--confirm", "--by", "anna"))
    assert (done["erased"], done["counts"]["telemetry"], done["counts"]["latest_position"]) == (True, 10, 1)
    assert conn.execute("SELECT count(*) FROM telemetry").fetchone() == (0,)
    assert conn.execute("SELECT erasure_id::text, erased_by, reason FROM telemetry_erasure").fetchall() == [
        (done["erasure_id"], "anna", "contract ended")
    ]


def test_a_hold_is_placed_listed_and_released_and_stops_an_erasure(cli, conn):
    now = wall_now()
    put(conn, drive("d1", now - 3 * DAY, 10))
    number = cli("hold", "add", "car-d1", "--reason", "court").stdout.strip()
    assert f"{number}\tcar-d1\t-\t-\t" in cli("hold", "list").stdout
    words = ("erase", "--device", "d1", *period(now), "--reason", "asked", "--confirm")
    refused = cli(*words)
    assert refused.exit_code != 0
    assert "release it first" in str(refused.exception)
    assert cli("hold", "release", number).exit_code == 0
    assert cli(*words).exit_code == 0
    assert conn.execute("SELECT count(*) FROM telemetry").fetchone() == (0,)


@pytest.mark.parametrize(
    "words",
    [
        ("--from", "2026-01-01T00:00:00Z", "--to", "2026-02-01T00:00:00Z"),
        ("--device", "a", "--vehicle", "b", "--from", "2026-01-01T00:00:00Z", "--to", "2026-02-01T00:00:00Z"),
        ("--device", "a", "--from", "yesterday", "--to", "2026-02-01T00:00:00Z"),
        ("--device", "a", "--from", "2026-01-01", "--to", "2026-02-01T00:00:00Z"),
        ("--device", "a", "--from", "2026-03-01T00:00:00Z", "--to", "2026-02-01T00:00:00Z"),
    ],
)
def test_an_erasure_without_subject_or_period_is_wrong_use(cli, words):
    assert cli("erase", *words, "--reason", "asked", "--confirm").exit_code == 2


def test_the_length_of_chunks_is_advised_and_set_where_there_are_chunks(cli, conn):
    words = ("chunks", "--devices", "1000", "--period", "10", "--memory", "8", "--apply", "--json")
    result = cli(*words)
    if detect(conn).timescaledb is None:
        assert "its partitions are days" in str(result.exception)
    else:
        assert last_json(result)["interval_h"] == 3
        assert last_json(cli(*words))["interval_before_h"] == 3


def test_erasing_takes_rule_state_and_refused_payloads_and_the_rules_begin_anew(pipeline, database_url):
    """A worker remembers states in its process: what was erased must not come back from there."""
    now = wall_now()
    pipeline.tools.rules = RuleWriter(timezone="Asia/Shanghai")
    pipeline.put(delivery(*(position("d1", n, minutes_ago(40 - n)) for n in range(20))))
    pipeline.put(delivery(position("d1", 77, minutes_ago(5), lat=400.0)))
    assert pipeline.counts("vehicle_state", "quarantine") == (1, 1)
    with connect(database_url, name="test", autocommit=True) as own:
        done = erase_everywhere(own, Scope("device", "d1", now - DAY, wall_now()), "asked", "anna", now)
    assert (done.counts["vehicle_state"], done.counts["quarantine"], done.vehicles) == (1, 1, ["car-1"])
    assert pipeline.counts("latest_position", "telemetry", "quarantine", "deadline") == (0, 0, 0, 0)
    assert pipeline.ask("SELECT state FROM vehicle_state") == [(to_bytes(initial_state("car-1")),)]
    moment = wall_now()
    for device_id in ("d1", "d2"):
        pipeline.put(delivery(position(device_id, 200, moment), device_id=device_id))
    erased, never_seen = (
        from_bytes(bytes(state))
        for (state,) in pipeline.ask("SELECT state FROM vehicle_state ORDER BY vehicle_id")
    )
    assert (erased.vehicle_id, never_seen.vehicle_id) == ("car-1", "car-2")
    assert (erased.motion, erased.passes) == (never_seen.motion, never_seen.passes)


def test_doctor_says_which_store_is_used_and_what_its_jobs_last_did(conn, database_url, tmp_path):
    settings = Settings(_env_file=None, data_dir=tmp_path, http_port=0, database_url=database_url)

    def told():
        return {check.part: check for check in examine(settings).checks}

    before = told()
    assert before["job telemetry-rollups"].found == "never ran"
    put(conn, drive("d1", wall_now() - 20 * DAY, 10))
    jobs = {job.name: job for job in ingest_jobs(settings)}
    for name in ("telemetry-rollups", "telemetry-columnstore", "telemetry-retention"):
        assert run_job(database_url, jobs[name])
    after = told()
    assert {after[f"job telemetry-{name}"].verdict for name in ("rollups", "columnstore", "retention")} == {
        "ok"
    }
    if detect(conn).timescaledb:
        assert "TimescaleDB: 1 chunks of 1 day" in after["storage"].found
        assert "1 in the columnstore" in after["storage"].found
    else:
        assert "plain PostgreSQL: 1 daily partitions" in after["storage"].found
