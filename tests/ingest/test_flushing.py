"""How long a report waits for company before its transaction begins."""

from __future__ import annotations

import pytest

from ingest.worker import FLUSH_IDLE_S, FLUSH_S, MOST_MESSAGES, flush_s


def test_a_lone_report_waits_a_fifth_of_what_a_busy_slot_lets_it_wait():
    assert flush_s(0) == FLUSH_IDLE_S
    assert flush_s(1) < FLUSH_S / 4


@pytest.mark.parametrize(("fewer", "more"), [(0, 20), (20, 100), (100, 199)])
def test_the_more_came_last_time_the_longer_the_next_batch_is_collected(fewer, more):
    assert flush_s(fewer) < flush_s(more) < FLUSH_S


@pytest.mark.parametrize("taken", [200, MOST_MESSAGES, 10 * MOST_MESSAGES])
def test_the_wait_never_grows_beyond_its_limit(taken):
    assert flush_s(taken) == FLUSH_S
