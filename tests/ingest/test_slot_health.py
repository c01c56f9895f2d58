"""What a slot's row and metrics show under real load, and what health says of it."""

import urllib.request
from contextlib import contextmanager

import pytest

from core.db.pool import connect
from core.settings import Settings
from ingest.slots import health, store
from ingest.slots.health import SlotRow, judge
from pledgewatch.embedded.checks_ingest import ingest_slots
from pledgewatch.embedded.ports import any_free
from tests.fix_ingest import minutes_ago, position
from tests.fix_stack import eventually

FINE = SlotRow(
    slot=0, served=True, connected=True, seen_s=0.4, oldest_unacked_s=0.1, window_used=3, lag_s=0.1, rejects=0,
    retries=0, broker_drops=0, batches=9, reports=90, batch_reports=10.0, commit_s=0.01, recent_drops=0,
    recent_losses=0,
)  # fmt: skip


@pytest.mark.parametrize(
    ("changes", "state", "word"),
    [
        ({}, "ok", ""),
        ({"served": False, "seen_s": 400.0}, "unserved", "400 s ago"),
        ({"connected": False}, "disconnected", "session"),
        ({"lag_s": 61.0, "retries": 7}, "behind", "7 retries"),
        ({"oldest_unacked_s": 90.0}, "behind", "90 s"),
        ({"recent_drops": 1}, "dropping", "queue"),
        ({"recent_losses": 1, "recent_drops": 1}, "lost_session", "forgot"),
    ],
)
def test_each_trouble_is_named_with_its_figures_and_a_remedy(changes, state, word):
    (verdict,) = judge([FINE._replace(**changes)], 1)
    assert (verdict.state, verdict.good) == (state, state == "ok")
    assert word in verdict.why
    assert bool(verdict.todo) is not verdict.good


def test_a_slot_that_never_was_is_unserved_and_one_that_fell_away_is_retired():
    verdicts = judge([FINE._replace(slot=1), FINE._replace(slot=5, served=False)], 3)
    assert [(each.slot, each.state) for each in verdicts] == [
        (0, "unserved"), (1, "ok"), (2, "unserved"), (5, "retired"),
    ]  # fmt: skip


def scraped(port: int) -> dict[str, float]:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
        lines = answer.read().decode().splitlines()
    pairs = [line.rpartition(" ")[::2] for line in lines if line and not line.startswith("#")]
    return {name: float(value) for name, value in pairs}


@contextmanager
def slow_database(rig):
    """Nobody can store a report meanwhile."""
    with connect(rig.database_url, name="blocker") as blocker:
        blocker.execute("LOCK TABLE telemetry IN SHARE MODE")
        yield


@pytest.mark.slow
def test_figures_move_under_load_in_the_row_in_the_metrics_and_for_doctor(ingest_rig, tmp_path):
    rig, port = ingest_rig, any_free()
    rig.register("d1")
    process = rig.start_and_wait(PLEDGEWATCH_INGEST_METRICS_PORT=str(port))
    settings = Settings(database_url=rig.database_url, data_dir=tmp_path, _env_file=None)

    def row() -> SlotRow:
        with connect(rig.database_url, name="test") as conn:
            return store.slot_rows(conn)[0]

    eventually(lambda: 0 < row().lag_s < 5, what="a probe that came back")
    assert [check.verdict for check in ingest_slots(settings)] == ["ok"]
    with slow_database(rig):
        for seq in range(400):
            rig.report("d1", position("d1", seq, minutes_ago(5)))
        rig.report("d1", position("d1", 900, lat=200.0))
        rig.await_acks()
        name = 'pledgewatch_ingest_{}{{slot="0"}}'.format
        eventually(lambda: scraped(port)[name("oldest_unacked_seconds")] > 2, what="waiting to be seen")
        held = scraped(port)
        assert held[name("window_used")] >= 400
        eventually(lambda: scraped(port)[name("commit_lag_seconds")] > 2, what="the lag of a probe to grow")
    # The peak of the wait is in the row, though nothing waits any more when it is written.
    eventually(lambda: row().reports >= 401, what="everything stored")
    assert rig.ask("SELECT max(lag_s) >= 0 FROM ingest_slot") == [(True,)]
    found = row()
    assert (found.served, found.connected, found.rejects) == (True, True, 1)
    assert 0 < found.batches < 200
    inserted = 'pledgewatch_ingest_items_total{outcome="inserted",slot="0"}'
    eventually(lambda: scraped(port).get(inserted) == 400, what="400 reports counted")
    after = scraped(port)
    assert after['pledgewatch_ingest_items_total{outcome="quarantined",slot="0"}'] == 1
    assert after['pledgewatch_ingest_batch_reports_sum{slot="0"}'] == 401
    assert after['pledgewatch_ingest_publish_to_commit_seconds_count{slot="0"}'] >= 1
    assert (
        after['pledgewatch_ingest_batch_seconds_bucket{le="0.5",slot="0"}']
        < after['pledgewatch_ingest_batch_seconds_count{slot="0"}']
    )
    process.kill()
    rig.ask("UPDATE ingest_slot SET leased_until = clock_timestamp() - interval '1 second' RETURNING 1")
    (check,) = ingest_slots(settings)
    assert (check.verdict, "slot 0 is unserved" in check.found) == ("note", True)
    assert "python -m ingest" in check.fix


def test_the_peak_of_a_wait_is_written_into_the_row(pipeline):
    with pipeline.conn.transaction():
        lease = store.lease_free_slot(pipeline.conn, 1, "me")
        assert lease is not None
        figures = store.SlotFigures(oldest_unacked_s=75.0, window_used=9, connected=True, broker_drops=4)
        assert store.renew(pipeline.conn, lease, figures)
    (row,) = store.slot_rows(pipeline.conn)
    assert (row.oldest_unacked_s, row.window_used, row.broker_drops) == (75.0, 9, 4)
    assert [each.state for each in health.judge([row], 1)] == ["behind"]
