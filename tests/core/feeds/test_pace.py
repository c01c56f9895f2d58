"""How fast other people's HTTP is asked, and how long is waited after a failure."""

import random
from email.utils import format_datetime

import pytest

from core.clock import wall_now
from core.feeds.pace import TokenBucket, backoff_s, retry_after_s


def test_the_bucket_lets_a_burst_through_and_then_keeps_the_pace():
    now = [0.0]

    def wait(seconds):
        now[0] += seconds

    bucket = TokenBucket(4, 3, now=lambda: now[0], wait=wait)
    times = []
    for _ in range(7):
        bucket.take()
        times.append(round(now[0], 6))
    assert times == [0, 0, 0, 0.25, 0.5, 0.75, 1.0]


def test_waits_grow_with_failures_and_never_beyond_the_longest():
    chance = random.Random(7)
    waits = [max(backoff_s(attempt, 10, chance) for _ in range(300)) for attempt in (1, 2, 3, 9)]
    assert waits == sorted(waits)
    assert 9 < waits[-1] <= 10


def test_retry_after_is_read_as_seconds_or_as_a_date():
    assert retry_after_s("120") == 120
    assert retry_after_s(format_datetime(wall_now(), usegmt=True)) == pytest.approx(0, abs=2)
    assert [retry_after_s(text) for text in (None, "soon", "-5", "٣")] == [None, None, None, None]
