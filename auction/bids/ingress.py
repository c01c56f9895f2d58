"""When a request came in, in database time: stamped at the door, before it waits for a connection.

The wall clock of an application host is never read. A thread asks the database for its time once a second
and keeps the distance to the monotonic clock; the error is at most half the round trip. The same thread
gives the API's sign of life, by which outages are measured.
"""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Self

import psycopg
import structlog

from auction.lots.store import database_now
from auction.timers.store import beat
from core.db.pool import connect
from core.errors import Unavailable

if TYPE_CHECKING:
    from types import TracebackType

    from core.db.pool import Connection

REFRESH_S = 1
OLDEST_NS = 10_000_000_000
WORST_ERROR_NS = 50_000_000
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_US = timedelta(microseconds=1)

_log = structlog.get_logger("auction.clock")


@dataclass(frozen=True, slots=True)
class Reading:
    """Database time minus monotonic time, when it was read, and how wrong it may be. Nanoseconds."""

    offset_ns: int
    read_ns: int
    error_ns: int


class DatabaseClock:
    """Use as a context manager, or ``start()`` and ``stop()``."""

    def __init__(self, database_url: str, *, beats: bool = True) -> None:
        self._database_url = database_url
        self._beats = beats
        self._reading: Reading | None = None
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="database-clock", daemon=True)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def start(self) -> None:
        """Take a first reading if the database answers, and go on reading."""
        try:
            with connect(self._database_url, name="clock", autocommit=True) as conn:
                self._take(read(conn))
        except psycopg.OperationalError as exc:
            _log.warning("database_away", worker="database-clock", error=str(exc).strip())
        self._thread.start()

    def stop(self) -> None:
        """Stop reading."""
        self._stop.set()
        self._thread.join(timeout=5)

    def arrived(self) -> datetime:
        """Return the database's time of this moment.

        Raises:
            Unavailable: the newest good reading is older than ten seconds (``busy``).
        """
        now_ns = time.monotonic_ns()
        reading = self._reading
        if reading is None or now_ns - reading.read_ns > OLDEST_NS:
            raise Unavailable(
                "Expected to know the database's time, it has not answered for ten seconds", code="busy"
            )
        return _EPOCH + timedelta(microseconds=(now_ns + reading.offset_ns) // 1000)

    def error_ms(self) -> int | None:
        """Return how wrong ``arrived`` may be, rounded up; None while it knows nothing."""
        reading = self._reading
        return None if reading is None else -(-reading.error_ns // 1_000_000)

    def _run(self) -> None:
        while not self._stop.is_set():
            try:
                with connect(self._database_url, name="clock", autocommit=True) as conn:
                    while not self._stop.is_set():
                        self._take(read(conn))
                        if self._beats:
                            beat(conn, "api")
                        self._stop.wait(REFRESH_S)
            except psycopg.OperationalError as exc:
                _log.warning("database_away", worker="database-clock", error=str(exc).strip())
                self._stop.wait(REFRESH_S)

    def _take(self, fresh: Reading) -> None:
        # A slow answer says little about the time; the one before is better until it is too old.
        if fresh.error_ns <= WORST_ERROR_NS:
            self._reading = fresh


def read(conn: Connection) -> Reading:
    """Ask the database for its time once."""
    before_ns = time.monotonic_ns()
    moment = database_now(conn)
    after_ns = time.monotonic_ns()
    middle_ns = (before_ns + after_ns) // 2
    database_ns = (moment - _EPOCH) // _US * 1000
    return Reading(database_ns - middle_ns, after_ns, (after_ns - before_ns) // 2)
