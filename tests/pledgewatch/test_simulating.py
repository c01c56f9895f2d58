"""When a simulated fleet lives: never ahead of the deployment's own time."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from core.clock import ScaledClock, to_ms, wall_now
from pledgewatch.simulating import DAY_MS, Request, _plan
from simulator.publish.pace import ClockPace, SpeedPace

REQUEST = Request(
    vehicles=2, speed=None, scenario="day", seed=1, incidents=0, duration_ms=None, start=None, labels=None,
    acklog=None, out=None, city=None, replay=None, shift_to_now=False, disorder=None, double=False, part=None,
    provision=True, credentials=None, single=False,
)  # fmt: skip


@pytest.mark.parametrize("speed", [None, 60.0, 600.0, float("inf")])
def test_a_scaled_clock_in_the_past_decides_whatever_the_speed(speed: float | None) -> None:
    clock = ScaledClock(wall_now() - timedelta(days=2), 600.0, anchored_at=wall_now())
    plan, pace = _plan(replace(REQUEST, speed=speed, duration_ms=DAY_MS), clock)
    assert isinstance(pace, ClockPace)
    assert abs(plan.start_ms - to_ms(clock.now())) < 60 * 60_000
    assert plan.end_ms - plan.start_ms == DAY_MS


def test_a_run_in_scaled_time_ends_where_the_clock_meets_now() -> None:
    clock = ScaledClock(wall_now() - timedelta(hours=30), 600.0, anchored_at=wall_now())
    plan, _ = _plan(REQUEST, clock)
    assert abs(plan.end_ms - to_ms(clock.meets_wall_at())) < 1_000


def test_on_the_wall_clock_a_faster_run_ends_now_and_not_in_the_future() -> None:
    plan, pace = _plan(replace(REQUEST, speed=600.0), None)
    assert isinstance(pace, SpeedPace)
    length_s = DAY_MS / 1000
    assert abs(plan.end_ms - to_ms(wall_now()) - length_s / 600.0 * 1000) < 60_000
