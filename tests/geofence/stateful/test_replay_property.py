"""However a track arrives, what stands in the end is what the engine finds in the whole of it."""

from __future__ import annotations

import itertools
import random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from core.clock import from_ms
from core.db.pool import connect
from geofence.oracle import compare
from geofence.replayer import Replayer
from geofence.sweeper import Sweeper
from geofence.writer import RuleWriter
from tests.geofence.stateful.fleet import (
    LAT,
    LON,
    MINUTE,
    START_MS,
    TIMEZONE,
    add_fence,
    ingest,
    register,
    report,
    serve_replays,
    set_watermark,
    undated,
)

NUMBERS = itertools.count()


def random_track(rng, vehicle_id, devices):
    """Return a day of driving and standing, with power cuts, gaps and undated alarms."""
    items, minute, lat, lon, seq = [], 0.0, LAT, LON, 0
    for _ in range(rng.randint(20, 120)):
        device_id = rng.choice(devices)
        kind = rng.random()
        minute += rng.choice([0.5, 1, 2, 5]) if kind < 0.93 else rng.choice([20, 45, 200])
        moving = rng.random() < 0.6
        if moving:
            lat += rng.uniform(-0.004, 0.004)
            lon += rng.uniform(-0.004, 0.004)
        seq += 1
        if kind < 0.03:
            items.append(
                undated(
                    minute,
                    rng.choice(["removal", "power_cut"]),
                    vehicle_id=vehicle_id,
                    device_id=device_id,
                    seq=seq,
                )
            )
            continue
        alarms = (rng.choice(["power_cut", "removal", "jamming", "tow"]),) if rng.random() < 0.05 else ()
        items.append(report(
            minute, vehicle_id=vehicle_id, device_id=device_id, lat=lat, lon=lon, seq=seq, alarms=alarms,
            speed_kmh=rng.uniform(10, 60) if moving else 0.0, ignition=moving, ext_power_v=rng.choice([12.5, 12.6, 0.2, None]),
        ))  # fmt: skip
    return items


@pytest.fixture
def arena(database_url):
    with connect(database_url, name="arena", autocommit=True) as conn:
        for number, (dlat, dlon, category) in enumerate(
            [(0, 0, "second_pledge"), (0.006, 0.003, "pawn"), (-0.005, 0.004, "home")]
        ):
            add_fence(conn, f"f{number}", LAT + dlat, LON + dlon, radius_m=400, category=category)
        add_fence(conn, "region", LAT, LON, radius_m=2500, category="allowed_region")
        yield conn


@settings(max_examples=30, deadline=None, suppress_health_check=list(HealthCheck))
@given(seed=st.integers(0, 2**32))
def test_shuffled_repeated_and_interrupted_input_ends_in_the_reference(arena, seed):
    rng = random.Random(seed)
    conn, number = arena, next(NUMBERS)
    vehicle_id = f"v{number}"
    devices = [f"d{number}-{i}" for i in range(rng.choice([1, 1, 2]))]
    register(conn, vehicle_id, devices)
    track = random_track(rng, vehicle_id, devices)
    arrival = track[:]
    for i in range(len(arrival)):  # disorder from a little to complete
        j = min(len(arrival) - 1, i + int(rng.expovariate(rng.choice([0.1, 1, 5]))))
        arrival[i], arrival[j] = arrival[j], arrival[i]
    arrival += rng.sample(track, len(track) // 5)
    writer, replayer = RuleWriter(timezone=TIMEZONE), Replayer(timezone=TIMEZONE)
    sweeper = Sweeper(timezone=TIMEZONE, slots=1)
    reached = START_MS
    while arrival:
        size = rng.choice([1, 3, 10, 40])
        batch, arrival = arrival[:size], arrival[size:]
        ingest(conn, writer, batch)
        reached = max(reached, *(item.t_ms for item in batch))
        chance = rng.random()
        if chance < 0.2:
            writer = RuleWriter(timezone=TIMEZONE)  # the worker was restarted
        elif chance < 0.4:
            replayer.run_once(conn, now_ms=reached)
        elif chance < 0.6:
            set_watermark(conn, reached)
            sweeper.run_once(conn, now=from_ms(reached))
    set_watermark(conn, reached + 30 * 60 * MINUTE)
    for _ in range(12):
        serve_replays(conn, replayer, reached)
        swept = sweeper.run_once(conn, now=from_ms(reached + 30 * 60 * MINUTE))
        if not swept.looked:
            break
    assert not swept.looked, "sweeping and replaying come to rest"
    compared = compare(conn, timezone=TIMEZONE, vehicle_ids=[vehicle_id])
    assert compared.waiting == ()
    assert compared.differences == ()
    assert compared.findings > 0
