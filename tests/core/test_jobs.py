"""Jobs: one leader per tick, one run per slot, a failure is remembered."""

from __future__ import annotations

import threading
from collections.abc import Callable

from core.db.pool import Connection, connect
from core.jobs import Job, run_job


def outcomes(url: str) -> list[str]:
    with connect(url, name="test") as conn:
        return [row[0] for row in conn.execute("SELECT outcome FROM job_run").fetchall()]


def job(work: Callable[[Connection], None]) -> Job:
    return Job("tidy", every_s=86_400, work=work)


def test_a_slot_runs_once_however_often_it_ticks(database_url: str) -> None:
    runs: list[int] = []
    assert [run_job(database_url, job(lambda conn: runs.append(1))) for _ in range(3)] == [True, False, False]
    assert len(runs) == 1


def test_while_one_process_runs_a_job_another_does_not_start_it(database_url: str) -> None:
    inside, finish = threading.Event(), threading.Event()

    def slow(conn: Connection) -> None:
        inside.set()
        assert finish.wait(20)

    thread = threading.Thread(target=run_job, args=(database_url, job(slow)))
    thread.start()
    assert inside.wait(20)
    assert run_job(database_url, job(lambda conn: None)) is False
    finish.set()
    thread.join()


def test_a_job_that_fails_says_so_in_its_row(database_url: str) -> None:
    def broken(conn: Connection) -> None:
        raise ValueError("no market today")

    assert run_job(database_url, job(broken)) is False
    assert outcomes(database_url) == ["failed: ValueError: no market today"]
