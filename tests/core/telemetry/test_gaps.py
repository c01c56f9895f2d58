"""The gap ledger against a brute-force oracle: any order, any batches, any repetition."""

from datetime import UTC, datetime, timedelta
from functools import partial

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from core.db.pool import connect
from core.telemetry.gaps import reader, store
from core.telemetry.gaps.ledger import Run, Sequence

START = datetime(2026, 11, 1, tzinfo=UTC)


def at(seq: int) -> datetime:
    return START + timedelta(seconds=seq)


def missing(received) -> list[tuple[int, int]]:
    """The oracle: walk every number between the lowest and the highest."""
    found: list[tuple[int, int]] = []
    for number in range(min(received), max(received)):
        if number in received:
            continue
        if found and found[-1][1] == number - 1:
            found[-1] = (found[-1][0], number)
        else:
            found.append((number, number))
    return found


def runs_of(numbers) -> list[Run]:
    """Cut a batch of numbers into runs, as the reader's SQL does."""
    runs: list[Run] = []
    for number in sorted(set(numbers)):
        if runs and runs[-1].high == number - 1:
            runs[-1] = runs[-1]._replace(high=number, high_t=at(number))
        else:
            runs.append(Run(number, at(number), number, at(number)))
    return runs


NUMBERS = st.lists(st.lists(st.integers(0, 60), min_size=1, max_size=12), min_size=1, max_size=14)


@given(NUMBERS)
def test_the_open_gaps_are_those_of_the_set_however_it_was_told(batches):
    sequence: Sequence | None = None
    received: set[int] = set()
    for batch in batches:
        received |= set(batch)
        for run in runs_of(batch):
            sequence = sequence or Sequence.begin(run)
            sequence.take(run, START)
        assert sequence is not None
        assert [(gap.from_seq, gap.to_seq) for gap in sequence.gaps] == missing(received)
        assert (sequence.low, sequence.high) == (min(received), max(received))
        for gap in sequence.gaps:
            assert (gap.after_t, gap.before_t) == (at(gap.from_seq - 1), at(gap.to_seq + 1))
    assert sequence is not None
    for gap in sequence.closed:
        assert set(range(gap.from_seq, gap.to_seq + 1)) <= received


def queue(conn, *seen: tuple[str, int, int]) -> None:
    with conn.transaction():
        store.log_known(conn, [(device_id, boot_id, seq, at(seq)) for device_id, boot_id, seq in seen])


def opened(conn, device_id="d1") -> list[tuple[int, int, int]]:
    return sorted(
        (gap.boot_id, gap.from_seq, gap.to_seq) for gap in store.gaps(conn, device_id=device_id, limit=1000)
    )


@pytest.fixture
def conn(database_url):
    with connect(database_url, name="test", autocommit=True) as connection:
        yield connection


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(batches=NUMBERS, most=st.integers(1, 4))
def test_the_stored_ledger_agrees_with_the_oracle_in_any_order(conn, batches, most):
    conn.execute("TRUNCATE telemetry_arrival, device_sequence, telemetry_gap")
    received: dict[tuple[str, int], set[int]] = {}
    for number, batch in enumerate(batches):
        boot = ("d1", 1 + number % 2)
        received.setdefault(boot, set()).update(batch)
        queue(conn, *[(*boot, seq) for seq in batch], ("d2", 0, number), ("d2", 1, -number - 1))
        if number % 3 == 2:
            reader.catch_up(conn, START, most)
    reader.catch_up(conn, START, most)
    expected = [(boot[1], *gap) for boot, numbers in sorted(received.items()) for gap in missing(numbers)]
    assert opened(conn) == expected
    assert sum(gap.missing for gap in store.gaps(conn, limit=1000)) == sum(b - a + 1 for _, a, b in expected)
    assert conn.execute("SELECT count(*) FROM telemetry_arrival").fetchone() == (0,)
    # Boot 0 and numbers below zero are no sequence.
    assert {boot for (boot,) in conn.execute("SELECT DISTINCT device_id FROM device_sequence")} == {"d1"}


def test_a_gap_is_split_narrowed_and_closed_and_keeps_its_row_and_its_age(conn):
    queue(conn, ("d1", 3, 10), ("d1", 3, 21))
    reader.catch_up(conn, at(100))
    (first,) = store.gaps(conn)
    assert (first.from_seq, first.to_seq, first.missing) == (11, 20, 10)
    assert (first.after_t, first.before_t, first.opened_at) == (at(10), at(21), at(100))
    queue(conn, ("d1", 3, 15))
    reader.catch_up(conn, at(200))
    assert opened(conn) == [(3, 11, 14), (3, 16, 20)]
    assert {gap.opened_at for gap in store.gaps(conn)} == {at(100)}
    queue(conn, *[("d1", 3, seq) for seq in (11, 12, 13, 14, 20)])
    reader.catch_up(conn, at(300))
    assert opened(conn) == [(3, 16, 19)]
    closed = [gap for gap in store.gaps(conn, open_only=False) if gap.closed_at]
    assert [(gap.gap_id, gap.missing, gap.closed_at) for gap in closed] == [(first.gap_id, 0, at(300))]
    queue(conn, *[("d1", 3, seq) for seq in range(16, 20)])
    reader.catch_up(conn, at(400))
    assert opened(conn) == []
    assert store.totals(conn) == (0, 0, 0, 0)


def test_a_batch_that_commits_late_is_still_read(conn, database_url):
    with connect(database_url, name="slow") as slow:
        store.log_known(slow, [("d1", 1, 2, at(2))])
        queue(conn, ("d1", 1, 1), ("d1", 1, 3))
        reader.catch_up(conn, START)
        assert opened(conn) == [(1, 2, 2)]
        slow.commit()
    reader.catch_up(conn, START)
    assert opened(conn) == []


def test_numbers_at_the_end_of_the_range_neither_overflow_nor_stop_the_reader(conn):
    top = 2**63 - 1
    with conn.transaction():
        store.log_known(conn, [("d1", 1, seq, START) for seq in (0, top, -(2**63), 5)])
    reader.catch_up(conn, START)
    assert opened(conn) == [(1, 1, 4), (1, 6, top - 1)]


def test_a_device_whose_numbers_jump_about_costs_no_rows(conn, monkeypatch):
    monkeypatch.setattr(reader, "MOST_OPEN", 20)
    for start in range(0, 60, 10):  # never back, so that no gap is ever loaded
        queue(conn, *[("d1", 1, seq) for seq in range(2 * start, 2 * start + 20, 2)])
        reader.catch_up(conn, START)
    assert opened(conn) == []
    assert [boot.ordered for boot in store.boots(conn, "d1")] == [False]
    queue(conn, *[("d2", 1, seq) for seq in range(0, 200, 2)])
    reader.catch_up(conn, START)
    assert opened(conn, "d2") == []


def test_what_is_over_is_forgotten_and_what_is_open_never(conn):
    queue(conn, *[("d1", 1, seq) for seq in (1, 3)], *[("d2", 1, seq) for seq in (1, 3)])
    reader.catch_up(conn, at(10))
    queue(conn, ("d2", 1, 2))
    reader.catch_up(conn, at(20))
    with conn.transaction():
        assert store.forget(conn, at(1_000)) == 2  # the closed gap of d2, and then its boot
    assert opened(conn) == [(1, 2, 2)]
    assert conn.execute("SELECT device_id FROM device_sequence").fetchall() == [("d1",)]
    assert partial(opened, conn, "d2")() == []
