"""Arrival is stamped in database time, whatever the clocks of the application hosts say."""

from __future__ import annotations

import time
from datetime import timedelta

import pytest

from auction.bids import ingress
from auction.bids.ingress import DatabaseClock, Reading
from auction.lots.store import database_now
from core.db.pool import connect
from core.errors import Unavailable
from tests.fix_stack import eventually


def test_arrival_is_the_databases_time_within_the_stated_error(sales_database_url: str) -> None:
    with (
        DatabaseClock(sales_database_url) as clock,
        connect(sales_database_url, name="t", autocommit=True) as conn,
    ):
        eventually(clock.error_ms, what="a reading")
        before = database_now(conn)
        arrived = clock.arrived()
        after = database_now(conn)
        error_ms = clock.error_ms()
        assert error_ms is not None
        slack = timedelta(milliseconds=error_ms + 1)
        assert before - slack <= arrived <= after + slack


def test_the_clock_gives_the_sign_of_life_of_the_api(sales_database_url: str) -> None:
    with connect(sales_database_url, name="t", autocommit=True) as conn:
        with DatabaseClock(sales_database_url):
            eventually(
                lambda: conn.execute("SELECT FROM auction_beat WHERE role = 'api'").rowcount, what="a beat"
            )
        conn.execute("DELETE FROM auction_beat")
        with DatabaseClock(sales_database_url, beats=False) as quiet:
            eventually(quiet.error_ms, what="a reading")
        assert conn.execute("SELECT FROM auction_beat").rowcount == 0


def test_without_a_database_nothing_is_stamped(sales_database_url: str) -> None:
    nowhere = DatabaseClock(sales_database_url.replace("127.0.0.1", "127.0.0.99"))
    with pytest.raises(Unavailable) as refusal:
        nowhere.arrived()
    assert (refusal.value.code, refusal.value.status) == ("busy", 503)


def test_a_reading_is_good_for_ten_seconds_and_a_slow_one_for_nothing(sales_database_url: str) -> None:
    clock = DatabaseClock(sales_database_url)
    now_ns = time.monotonic_ns()
    clock._take(Reading(0, now_ns - 9_000_000_000, 1))
    clock.arrived()
    clock._take(Reading(0, now_ns, ingress.WORST_ERROR_NS + 1))
    assert clock.error_ms() == 1  # the slow answer was not taken
    clock._take(Reading(0, now_ns - 11_000_000_000, 1))
    with pytest.raises(Unavailable):
        clock.arrived()


def test_it_reads_on_after_the_database_threw_it_out(sales_database_url: str) -> None:
    with (
        DatabaseClock(sales_database_url) as clock,
        connect(sales_database_url, name="t", autocommit=True) as conn,
    ):
        eventually(clock.error_ms, what="a reading")
        clock._reading = None
        conn.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'pledgewatch-clock'"
            " AND datname = current_database()"
        )
        eventually(lambda: clock._reading, what="a reading after a lost connection")
