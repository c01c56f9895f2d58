"""The rule for the length of chunks."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.errors import Rejected
from core.telemetry.storage.sizing import INDEX_BYTES_PER_REPORT, INTERVALS, advise

GIB = 2**30


@pytest.mark.parametrize(("period_s", "hours"), [(10, 3), (30, 12), (60, 24), (300, 168)])
def test_a_chunk_fills_a_batch_of_the_columnstore_for_each_device(period_s, hours):
    assert advise(1_000, period_s, 64 * GIB).interval == timedelta(hours=hours)


def test_memory_asks_for_shorter_chunks_and_says_so():
    advice = advise(100_000, 30, 4 * GIB)
    assert advice.memory_bound
    assert advice.interval == timedelta(hours=1)
    assert not advise(10_000, 30, 16 * GIB).memory_bound


@given(st.integers(1, 10**6), st.integers(1, 86_400), st.integers(2**28, 2**42))
def test_the_indexes_of_a_chunk_fit_in_a_quarter_of_the_memory_or_the_chunk_is_the_shortest(
    devices, period_s, memory
):
    advice = advise(devices, period_s, memory)
    fits = advice.reports_per_device * devices * INDEX_BYTES_PER_REPORT * 4 <= memory
    assert fits or advice.interval == INTERVALS[0]
    assert advice.reports_per_device >= 1_000 or advice.memory_bound or advice.interval == INTERVALS[-1]


def test_a_fleet_without_devices_has_no_chunks():
    with pytest.raises(Rejected, match="devices above 0"):
        advise(0, 30, GIB)
