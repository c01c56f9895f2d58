"""Domain events: at least once, in order, none skipped, none able to block the others for ever."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from core.db.pool import Connection, connect
from core.events.dispatch import MAX_ATTEMPTS, dispatch_once
from core.events.store import DomainEvent, emit


@pytest.fixture
def conn(database_url: str) -> Iterator[Connection]:
    with connect(database_url, name="test-events", autocommit=True) as connection:
        yield connection


class Heard:
    """A handler that remembers subjects and fails on the ones it is told to."""

    def __init__(self, failing: set[str] | None = None) -> None:
        self.subjects: list[str] = []
        self.failing = failing or set()

    def __call__(self, conn: Connection, event: DomainEvent) -> None:
        if event.subject in self.failing:
            raise RuntimeError(f"cannot handle {event.subject}")
        self.subjects.append(event.subject)


def test_events_are_heard_once_each_in_the_order_of_writing(conn: Connection) -> None:
    for subject in ("a", "b", "c"):
        emit(conn, "loan.changed", subject)
    heard = Heard()
    assert dispatch_once(conn, "test", {"loan.changed": heard}) == 3
    assert dispatch_once(conn, "test", {"loan.changed": heard}) == 0
    assert heard.subjects == ["a", "b", "c"]


def test_an_event_of_a_transaction_that_rolled_back_never_existed(conn: Connection) -> None:
    with conn.transaction(force_rollback=True):
        emit(conn, "loan.changed", "a")
    heard = Heard()
    assert dispatch_once(conn, "test", {"loan.changed": heard}) == 0


def test_an_event_that_commits_after_a_later_one_is_still_heard(conn: Connection, database_url: str) -> None:
    heard = Heard()
    with connect(database_url, name="slow") as slow:
        emit(slow, "loan.changed", "slow")
        emit(conn, "loan.changed", "fast")
        dispatch_once(conn, "test", {"loan.changed": heard})
        slow.commit()
    dispatch_once(conn, "test", {"loan.changed": heard})
    assert sorted(heard.subjects) == ["fast", "slow"]


def test_each_consumer_has_its_own_place(conn: Connection) -> None:
    emit(conn, "loan.changed", "a")
    one, two = Heard(), Heard()
    dispatch_once(conn, "one", {"loan.changed": one})
    dispatch_once(conn, "two", {"loan.changed": two})
    assert one.subjects == two.subjects == ["a"]


def test_a_poisoned_event_is_set_aside_after_ten_failures_and_the_next_is_heard(conn: Connection) -> None:
    emit(conn, "loan.changed", "poison")
    emit(conn, "loan.changed", "fine")
    heard = Heard(failing={"poison"})
    for _ in range(MAX_ATTEMPTS):
        dispatch_once(conn, "test", {"loan.changed": heard})
    assert heard.subjects == ["fine"]
    assert conn.execute("SELECT attempts, error FROM event_failure").fetchone() == (
        MAX_ATTEMPTS,
        "RuntimeError: cannot handle poison",
    )
