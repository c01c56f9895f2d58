"""Telemetry time: wall, scaled until it meets now, or the greatest event time seen."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.clock import ScaledClock, from_ms, parse_clock_spec, to_ms
from core.db.pool import connect
from core.errors import Misconfigured
from core.settings import Settings
from core.telemetry.clock import open_clock, refresh
from core.telemetry.clock_row.store import advance_data_clock

ANCHOR = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)


def test_a_scaled_clock_runs_fast_meets_the_wall_clock_and_stays_with_it() -> None:
    clock = ScaledClock(ANCHOR - timedelta(days=1), 600.0, anchored_at=ANCHOR)
    assert clock.at(ANCHOR) == ANCHOR - timedelta(days=1)
    assert clock.at(ANCHOR + timedelta(seconds=1)) == ANCHOR - timedelta(days=1) + timedelta(minutes=10)
    meeting = clock.meets_wall_at()
    assert abs(clock.at(meeting) - meeting) < timedelta(milliseconds=1)
    later = meeting + timedelta(hours=3)
    assert clock.at(later) == later


@given(st.integers(min_value=0, max_value=7 * 86_400), st.integers(min_value=0, max_value=7 * 86_400))
def test_a_scaled_clock_never_runs_backwards(one: int, two: int) -> None:
    clock = ScaledClock(ANCHOR - timedelta(days=3), 90.0, anchored_at=ANCHOR)
    early, late = sorted((one, two))
    assert clock.at(ANCHOR + timedelta(seconds=early)) <= clock.at(ANCHOR + timedelta(seconds=late))


@given(st.integers(min_value=-(10**12), max_value=4 * 10**12))
def test_milliseconds_survive_the_way_to_datetime_and_back(moment_ms: int) -> None:
    assert to_ms(from_ms(moment_ms)) == moment_ms


@pytest.mark.parametrize(
    "text", ["", "fast", "scaled:2026-11-01", "scaled:yesterday:60", "scaled:2026-11-01T00:00:00Z:0.5"]
)
def test_a_setting_of_another_form_is_refused_and_shows_the_form(text: str) -> None:
    with pytest.raises(Misconfigured, match="scaled:START:RATE"):
        parse_clock_spec(text)


def test_production_refuses_a_clock_that_is_not_the_wall() -> None:
    with pytest.raises(ValueError, match="PLEDGEWATCH_TELEMETRY_CLOCK"):
        Settings(env="production", telemetry_clock="data")


def test_two_processes_open_the_same_scaled_clock(database_url: str) -> None:
    settings = Settings(telemetry_clock="scaled:2026-11-01T00:00:00Z:600")
    clocks = []
    for name in ("one", "two"):
        with connect(database_url, name=name, autocommit=True) as conn:
            clocks.append(open_clock(conn, settings))
    assert clocks[0] == clocks[1]


def test_a_data_clock_follows_what_others_store_and_never_goes_back(database_url: str) -> None:
    with connect(database_url, name="test", autocommit=True) as conn:
        clock = open_clock(conn, Settings(telemetry_clock="data"))
        advance_data_clock(conn, ANCHOR)
        advance_data_clock(conn, ANCHOR - timedelta(days=1))
        refresh(conn, clock)
    assert clock.now() == ANCHOR
