"""A recorded file ends in the same findings however it arrives, and in those of the offline replay (G3)."""

from __future__ import annotations

import random
from collections import defaultdict

import pytest

from core.clock import from_ms
from core.db.pool import connect
from core.tracks import read_tracks
from geofence.context import load_context
from geofence.editing import put_in_force
from geofence.fences import load_geojson
from geofence.offline import replay, to_report
from geofence.oracle import compare
from geofence.replayer import Replayer
from geofence.sweeper import Sweeper
from geofence.writer import RuleWriter
from tests.fix_ingest import ROOT
from tests.geofence.stateful.fleet import MINUTE, TIMEZONE, ingest, register, serve_replays, set_watermark

DATA = ROOT.parent / "shared" / "data"
TRACKS = DATA / "tracks" / "austin_bus.csv.gz"
FENCES = DATA / "boundaries" / "austin_neighbourhoods_wgs84.geojson.gz"
VEHICLES = 8
ALL = "SELECT finding_id FROM finding_current"


@pytest.fixture(scope="module")
def file():
    if not TRACKS.exists() or not FENCES.exists():
        pytest.skip("needs the recorded tracks and boundaries beside the repository")
    whole = read_tracks(TRACKS)
    count: dict[str, int] = defaultdict(int)
    for row in whole.rows:
        count[row.vehicle_id] += 1
    chosen = set(sorted(count, key=lambda v: count[v])[len(count) // 2 :][:VEHICLES])
    return type(whole)(whole.boot_id, [row for row in whole.rows if row.vehicle_id in chosen])


@pytest.fixture
def conn(database_url, file):
    with connect(database_url, name="recorded", autocommit=True) as connection:
        with connection.transaction():
            put_in_force(connection, load_geojson(FENCES.read_bytes(), None).fences, now_ms=0)
        for vehicle_id in {row.vehicle_id for row in file.rows}:
            register(connection, vehicle_id, (vehicle_id,))
        yield connection


def send(conn, reports, *, pieces, rng):
    """Send reports in batches of 500; ``pieces`` restarts of every part between them."""
    newest = 0
    for piece in range(pieces):
        writer = RuleWriter(timezone=TIMEZONE, derive_marks=True)
        replayer = Replayer(timezone=TIMEZONE, derive_marks=True)
        sweeper = Sweeper(timezone=TIMEZONE, slots=1, derive_marks=True)
        part = reports[len(reports) * piece // pieces : len(reports) * (piece + 1) // pieces]
        for start in range(0, len(part), 500):
            ingest(conn, writer, part[start : start + 500])
            newest = max(newest, *(item.t_ms for item in part[start : start + 500]))
            set_watermark(conn, newest)
            if rng.random() < 0.3:
                sweeper.run_once(conn, now=from_ms(newest))
                replayer.run_once(conn, now_ms=newest)
    for _ in range(20):
        serve_replays(conn, replayer, newest)
        if not sweeper.run_once(conn, now=from_ms(newest)).looked:
            break
    assert conn.execute("SELECT count(*) FROM replay_request").fetchone() == (0,)
    return {row[0] for row in conn.execute(ALL).fetchall()}


def test_one_pass_in_order_finds_what_the_offline_replay_finds(conn, file):
    reports = sorted((to_report(row, file.boot_id) for row in file.distinct()), key=lambda item: item.order)
    online = send(conn, reports, pieces=1, rng=random.Random(1))
    offline = {finding.id for finding in replay(file, load_context(conn, TIMEZONE))}
    assert online == offline
    assert len(online) > 1000


@pytest.mark.slow
def test_shuffled_doubled_delayed_and_interrupted_it_ends_in_the_same_findings(conn, file):
    rng = random.Random(20261122)
    reports = [to_report(row, file.boot_id) for row in file.rows]
    delayed = [(item.t_ms + rng.random() ** 4 * 24 * 60 * MINUTE, item) for item in reports * 2]
    arrival = [item for _, item in sorted(delayed, key=lambda pair: pair[0])]
    online = send(conn, arrival, pieces=10, rng=rng)
    offline = {finding.id for finding in replay(file, load_context(conn, TIMEZONE))}
    assert online == offline
    assert compare(conn, timezone=TIMEZONE, derive_marks=True).differences == ()
    retracted = conn.execute("SELECT count(*) FROM finding WHERE status = 'retracted'").fetchone()[0]
    assert retracted > 0, "late reports disproved something on the way"
